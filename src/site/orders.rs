//! A login with a CSRF token, and the orders behind it.
//!
//! Sessions are signed cookies, not memory: `name.number.signature`. The key is in the source, for
//! nothing here is worth a secret.

use std::hash::{Hash, Hasher};

use hyper::header::SET_COOKIE;
use hyper::{Method, StatusCode};
use siphasher::sip::SipHasher13;

use super::call::Call;
use super::html::Html;
use super::reply::Reply;
use super::state::State;
use super::words::mix;

/// The name that may log in at `/login`.
pub const USER: &str = "ann";
/// Ann's password.
pub const PASSWORD: &str = "secret";
/// How many orders Ann has: three pages of ten at `/orders`.
pub const ORDERS: usize = 30;

const PER_PAGE: usize = 10;
const GUEST: &str = "guest";
const COOKIE: &str = "session";

pub(super) fn login(state: &State, call: &Call) -> Reply {
    if call.method == Method::POST {
        return enter(state, call);
    }
    if !call.is_read() {
        return Reply::status(StatusCode::METHOD_NOT_ALLOWED);
    }
    if let Some(session) = Session::of(state, call) {
        return form(state, session.cookie, StatusCode::OK, None);
    }
    let session = Session::start(state, GUEST);
    form(state, &session, StatusCode::OK, None).with(SET_COOKIE, &set_cookie(&session))
}

fn enter(state: &State, call: &Call) -> Reply {
    let Some(session) = Session::of(state, call) else {
        return Reply::status(StatusCode::FORBIDDEN);
    };
    if call.field("csrf") != Some(csrf(state, session.cookie)) {
        return form(
            state,
            session.cookie,
            StatusCode::FORBIDDEN,
            Some("The form has expired."),
        );
    }
    let (user, pass) = (call.field("user"), call.field("pass"));
    if user.as_deref() != Some(USER) || pass.as_deref() != Some(PASSWORD) {
        return form(
            state,
            session.cookie,
            StatusCode::FORBIDDEN,
            Some("Wrong name or password."),
        );
    }
    let session = Session::start(state, USER);
    Reply::redirect(StatusCode::SEE_OTHER, "/orders").with(SET_COOKIE, &set_cookie(&session))
}

fn form(state: &State, session: &str, status: StatusCode, error: Option<&str>) -> Reply {
    let mut html = Html::small("Log in");
    html.push("<h1>Log in</h1>\n");
    if let Some(error) = error {
        writeln!(html, "<p class=\"error\">{error}</p>");
    }
    writeln!(
        html,
        "<form class=\"login\" action=\"/login\" method=\"post\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{}\">\n\
         <label>Name <input type=\"text\" name=\"user\" value=\"\"></label>\n\
         <label>Password <input type=\"password\" name=\"pass\"></label>\n\
         <button type=\"submit\">Log in</button>\n</form>",
        csrf(state, session)
    );
    Reply::html(html.end()).with_status(status)
}

/// `/logout` takes the cookie away.
pub(super) fn logout() -> Reply {
    let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    Reply::redirect(StatusCode::SEE_OTHER, "/login").with(SET_COOKIE, &gone)
}

/// `/orders?page=N`, for those who are logged in.
pub(super) fn orders(state: &State, call: &Call) -> Reply {
    if Session::of(state, call).is_none_or(|session| session.name != USER) {
        return Reply::redirect(StatusCode::FOUND, "/login");
    }
    let last = ORDERS.div_ceil(PER_PAGE);
    let page = call.number("page").unwrap_or(1) as usize;
    if !(1..=last).contains(&page) {
        return Reply::not_found();
    }
    let mut html = Html::small("Orders");
    html.push("<h1>Orders</h1>\n<table class=\"orders\">\n");
    html.push("<thead><tr><th>Order</th><th>Date</th><th>Total</th></tr></thead>\n<tbody>\n");
    for number in (page - 1) * PER_PAGE + 1..=page * PER_PAGE {
        order(&mut html, number);
    }
    html.push("</tbody>\n</table>\n");
    if page > 1 {
        writeln!(
            html,
            "<a rel=\"prev\" href=\"/orders?page={}\">Newer</a>",
            page - 1
        );
    }
    if page < last {
        writeln!(
            html,
            "<a rel=\"next\" href=\"/orders?page={}\">Older</a>",
            page + 1
        );
    }
    html.push("<a href=\"/logout\">Log out</a>\n");
    Reply::html(html.end())
}

fn order(html: &mut Html, number: usize) {
    let pence = 500 + mix(number as u64) % 20_000;
    let (month, day) = (1 + number % 12, 1 + number * 5 % 28);
    writeln!(
        html,
        "<tr class=\"order\"><td class=\"id\">A-{number:04}</td>\
         <td class=\"date\">2026-{month:02}-{day:02}</td>\
         <td class=\"total\">£{}.{:02}</td></tr>",
        pence / 100,
        pence % 100
    );
}

struct Session<'a> {
    name: &'a str,
    cookie: &'a str,
}

impl<'a> Session<'a> {
    fn start(state: &State, name: &str) -> String {
        let body = format!("{name}.{}", state.visitor());
        format!("{body}.{}", sign(state, &body))
    }

    /// The session that the request's cookie proves.
    fn of(state: &State, call: &'a Call) -> Option<Self> {
        let cookie = call.cookie(COOKIE)?;
        let (body, signature) = cookie.rsplit_once('.')?;
        if sign(state, body) != signature {
            return None;
        }
        let name = body.split('.').next()?;
        Some(Self { name, cookie })
    }
}

fn set_cookie(session: &str) -> String {
    format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax")
}

fn csrf(state: &State, session: &str) -> String {
    sign(state, &format!("csrf {session}"))
}

fn sign(state: &State, text: &str) -> String {
    let mut hasher = SipHasher13::new_with_keys(0x6e65_7068_696c_6121, state.epoch());
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::super::Site;
    use super::super::client::{Answer, ask, get, site};

    fn session(answer: &Answer) -> String {
        let cookie = answer.header("set-cookie").expect("a cookie");
        cookie.split(';').next().expect("a pair").to_owned()
    }

    async fn post(site: &Site, cookie: &str, form: &str) -> Answer {
        ask(site, "POST", "/login", &[("Cookie", cookie)], form)
            .await
            .expect("an answer")
    }

    async fn see(site: &Site, path: &str, cookie: &str) -> Answer {
        ask(site, "GET", path, &[("Cookie", cookie)], "")
            .await
            .expect("an answer")
    }

    /// The cookie and the token of a fresh form.
    async fn form(site: &Site) -> (String, String) {
        let answer = get(site, "/login").await;
        assert_eq!(answer.status, 200);
        let token = answer
            .between("name=\"csrf\" value=\"", "\"")
            .expect("a token");
        (session(&answer), token)
    }

    #[tokio::test]
    async fn a_login_needs_cookie_token_and_password() {
        let site = site().await;
        let (cookie, token) = form(&site).await;
        let (other, _) = form(&site).await;
        let check = async |cookie: &str, fields: &str, expected: u16| {
            let answer = post(&site, cookie, fields).await;
            assert_eq!(answer.status, expected, "{cookie} {fields}");
            assert_eq!(answer.header("set-cookie").is_some(), expected == 303);
        };
        let right = format!("csrf={token}&user=ann&pass=secret");
        check(&cookie, "csrf=x&user=ann&pass=secret", 403).await;
        check(&cookie, "user=ann&pass=secret", 403).await;
        check(&cookie, &format!("csrf={token}&user=ann&pass=wrong"), 403).await;
        check(&cookie, &format!("csrf={token}&user=bob&pass=secret"), 403).await;
        check(&other, &right, 403).await;
        check("session=ann.1.0000000000000000", &right, 403).await;
        check("a=b", &right, 403).await;
        check(&cookie, &right, 303).await;
        check(&format!("a=b; {cookie}"), &right, 303).await;
    }

    #[tokio::test]
    async fn orders_are_for_those_who_are_logged_in() {
        let site = site().await;
        let (guest, token) = form(&site).await;
        let check = async |cookie: &str| {
            let answer = see(&site, "/orders", cookie).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (302, Some("/login"))
            );
        };
        check("a=b").await;
        check(&guest).await;
        let answer = post(&site, &guest, &format!("csrf={token}&user=ann&pass=secret")).await;
        assert_eq!(answer.header("location"), Some("/orders"));
        let ann = session(&answer);
        assert_eq!(see(&site, "/orders", &ann).await.status, 200);
        check(&ann.replace("ann.", "eve.")).await;
        site.expire_sessions();
        check(&ann).await;
    }

    #[tokio::test]
    async fn orders_have_three_pages() {
        let site = site().await;
        let (guest, token) = form(&site).await;
        let answer = post(&site, &guest, &format!("csrf={token}&user=ann&pass=secret")).await;
        let ann = session(&answer);
        let mut path = "/orders".to_owned();
        for page in 1..=3 {
            let answer = see(&site, &path, &ann).await;
            assert_eq!(
                answer.text().matches("<tr class=\"order\">").count(),
                10,
                "{path}"
            );
            let next = answer.between("rel=\"next\" href=\"", "\"");
            assert_eq!(next.is_some(), page < 3, "{path}");
            path = next.unwrap_or_default();
        }
        assert_eq!(see(&site, "/orders?page=4", &ann).await.status, 404);
    }
}
