//! Which page answers a path.

use super::call::Call;
use super::reply::Reply;
use super::state::State;
use super::{
    api, book, charsets, encodings, faults, graph, hostile, orders, redirects, shop, sitemap, zoo,
};

/// Answers a request.
pub(super) fn reply(state: &State, call: &Call) -> Reply {
    let path = call.path.trim_start_matches('/');
    let (head, rest) = path.split_once('/').unwrap_or((path, ""));
    // These say themselves what they take.
    match head {
        "login" => return orders::login(state, call),
        "echo" => return redirects::echo(call),
        "redirect" => return redirects::reply(call, rest),
        "flaky" => return faults::flaky(state, call, rest),
        _ if !call.is_read() => return Reply::read_only(),
        _ => {}
    }
    match head {
        "" => shop::home(state, call),
        "page" => shop::page(state, call, rest),
        "category" => shop::category(state, call, rest),
        "book" => book::reply(state, call, rest),
        "img" => shop::image(rest),
        "orders" => orders::orders(state, call),
        "logout" => orders::logout(),
        "api" if rest == "quotes" => api::quotes(call),
        "scroll" => api::scroll(),
        "js" => api::script(),
        "robots.txt" => sitemap::robots(state, call),
        "sitemap.xml" => sitemap::index(state, call),
        "feed.xml" => sitemap::feed(state, call),
        "private" => sitemap::private(call),
        "slow" => faults::slow(call),
        "reset" => faults::reset(call, rest),
        "status" => faults::status(rest),
        "charset" => charsets::reply(rest),
        "encoding" => encodings::reply(rest),
        "graph" => graph::reply(state, call, rest),
        "hostile" => hostile::reply(call, rest),
        "zoo" => zoo::reply(),
        _ => sitemap::map(state, call).unwrap_or_else(Reply::not_found),
    }
}
