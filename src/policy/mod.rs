//! What the crawler decides before and after a request, as pure functions.
//!
//! A decision here is a value computed from values. Nothing in this module opens a socket, reads a
//! file, draws a random number or looks at a clock: the body of a robots.txt, the time of now and
//! the random fraction of a jitter are parameters. So the rules of politeness can be tested as
//! tables, replayed by `nephila explain`, and give the same answer in every process of a crawl.
//!
//! ```
//! use nephila::policy::robots::Robots;
//!
//! let robots = Robots::parse(b"User-agent: *\nDisallow: /private/\n", "Nephila");
//! let verdict = robots.verdict("/private/a.html");
//! assert!(!verdict.allowed);
//! assert_eq!(verdict.rule.map(|rule| rule.line), Some(2));
//! ```

pub mod params;
pub mod scope;
pub mod traps;
pub mod robots;
pub mod redirect;
pub mod referrer;
pub mod retry;
pub mod blame;
pub mod breaker;
pub mod throttle;
