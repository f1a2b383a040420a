//! A conversation with the service, and what it has to answer, whichever step it is.

use std::net::SocketAddr;

use crate::Failure;
use crate::answer::LONGEST_TARGET;
use crate::client::{Client, Feed, Reply};

/// Method, path, body; status, `Location`, body.
type Exchange = (&'static str, &'static str, &'static str, u16, Option<&'static str>, &'static str);

const NOWHERE: &str = "there is nothing here\n";
const NO_URL: &str = "this is no URL\n";
const NOT_HERE: &str = "this cannot be done here\n";
const NO_TITLE: &str = "nobody knows the title\n";

/// With a new database.
const CONVERSATION: &[Exchange] = &[
    ("POST", "/links", "http://one/", 201, None, "1\n"),
    ("POST", "/links", "https://two/?a=b", 201, None, "2\n"),
    ("GET", "/links/1", "", 200, None, "0 http://one/\n"),
    ("GET", "/1", "", 307, Some("http://one/"), "http://one/\n"),
    ("GET", "/2", "", 307, Some("https://two/?a=b"), "https://two/?a=b\n"),
    ("GET", "/1", "", 307, Some("http://one/"), "http://one/\n"),
    ("GET", "/links/1", "", 200, None, "2 http://one/\n"),
    ("HEAD", "/links/1", "", 200, None, ""),
    ("GET", "/links/2?full", "", 200, None, "1 https://two/?a=b\n"),
    // Bad input.
    ("POST", "/links", "", 400, None, NO_URL),
    ("POST", "/links", "one", 400, None, NO_URL),
    ("POST", "/links", "http://one two/", 400, None, NO_URL),
    // Nothing there.
    ("GET", "/3", "", 404, None, NOWHERE),
    ("GET", "/links/3", "", 404, None, NOWHERE),
    ("GET", "/links/01", "", 404, None, NOWHERE),
    ("GET", "/links/3/title", "", 404, None, NOWHERE),
    ("GET", "/links/1/author", "", 404, None, NOWHERE),
    ("GET", "/", "", 404, None, NOWHERE),
    // There, but not so.
    ("DELETE", "/links/1", "", 405, None, NOT_HERE),
    ("GET", "/links", "", 405, None, NOT_HERE),
    ("GET", "/feed", "", 400, None, "this is a WebSocket\n"),
    ("POST", "/feed", "", 405, None, NOT_HERE),
    // What the other service says, or does not.
    ("GET", "/links/1/title", "", 200, None, "Title of http://one/\n"),
    ("POST", "/links", "http://broken/", 201, None, "3\n"),
    ("GET", "/links/3/title", "", 502, None, NO_TITLE),
    ("POST", "/links", "http://failing/", 201, None, "4\n"),
    ("GET", "/links/4/title", "", 502, None, NO_TITLE),
    ("POST", "/links", "http://slow/", 201, None, "5\n"),
    ("GET", "/links/5/title", "", 504, None, "nobody knows the title in time\n"),
    ("GET", "/links/2/title", "", 200, None, "Title of https://two/?a=b\n"),
];

/// What a feed that is open from the beginning is told meanwhile.
const EVENTS: &[&str] = &[
    "created 1 http://one/",
    "created 2 https://two/?a=b",
    "visited 1",
    "visited 2",
    "visited 1",
    "created 3 http://broken/",
    "created 4 http://failing/",
    "created 5 http://slow/",
];

/// Asks all that there is to ask, and gives a line for each answer and each event.
///
/// # Errors
/// An answer is wrong, or does not come.
pub fn check(address: SocketAddr) -> Result<Vec<String>, Failure> {
    let mut said = Vec::new();
    let mut feed = Feed::open(address)?;
    let mut client = Client::connect(address)?;
    for (method, path, body, status, location, answer) in CONVERSATION {
        let expected =
            Reply { status: *status, location: location.map(str::to_owned), body: (*answer).to_owned() };
        let reply = client.ask(method, path, body.as_bytes())?;
        if reply != expected {
            return Err(format!("{method} {path} {body}: {reply:?}, where it should be {expected:?}").into());
        }
        said.push(format!("{method} {path} {body}: {status} {}", answer.trim_end()));
    }
    for expected in EVENTS {
        let event = feed.next_event()?;
        if event.as_deref() != Some(expected) {
            return Err(format!("the feed says {event:?}, where it should be {expected:?}").into());
        }
        said.push(format!("feed: {expected}"));
    }
    feed.ping()?; // and nothing more
    feed.close()?;
    let long = format!("http://{}", "x".repeat(LONGEST_TARGET));
    let too_long = client.ask("POST", "/links", long.as_bytes())?;
    if too_long.status != 400 {
        return Err(format!("a URL that is too long: {too_long:?}").into());
    }
    said.push("a URL that is too long: 400".into());
    said.push(hang_up(address, &mut client)?);
    Ok(said)
}

/// A client that hangs up before its answer is the concern of nobody else.
fn hang_up(address: SocketAddr, client: &mut Client) -> Result<String, Failure> {
    let mut other = Client::connect(address)?;
    other.send("GET", "/links/5/title", b"")?;
    drop(other);
    let again = client.ask("GET", "/links/1", b"")?;
    if again.status != 200 {
        return Err(format!("after another client hung up: {again:?}").into());
    }
    Ok("after another client hung up: 200".into())
}
