//! What a request is answered, whichever step does it.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::links::Link;

/// The longest URL that is kept, in bytes.
pub const LONGEST_TARGET: usize = 2048;

/// A request has been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The code of a new link.
    Created(String),
    /// Where a link leads.
    Redirect(String),
    /// A link.
    Link(Link),
    /// The title of the page that a link leads to.
    Title(String),
}

/// A request has not been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not a URL.
    BadTarget,
    /// There is no such link, nor any such path.
    Unknown,
    /// The path is for another method.
    Method,
    /// The path is for WebSockets alone.
    NoWebSocket,
    /// The service of titles failed, or is not there.
    TitlesFailed,
    /// The service of titles has not answered in time.
    TitlesLate,
    /// The database failed, or the service stops.
    Broken(String),
}

/// What handlers give.
pub type Answered = Result<Answer, Refusal>;

impl Answer {
    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        match self {
            Self::Created(_) => 201,
            Self::Redirect(_) => 307,
            Self::Link(_) | Self::Title(_) => 200,
        }
    }

    /// The `Location` header.
    pub fn location(&self) -> Option<&str> {
        if let Self::Redirect(target) = self { Some(target) } else { None }
    }
}

/// The body.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(text) | Self::Redirect(text) | Self::Title(text) => writeln!(f, "{text}"),
            Self::Link(Link { target, visits }) => writeln!(f, "{visits} {target}"),
        }
    }
}

impl Refusal {
    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadTarget | Self::NoWebSocket => 400,
            Self::Unknown => 404,
            Self::Method => 405,
            Self::TitlesFailed => 502,
            Self::TitlesLate => 504,
            Self::Broken(_) => 500,
        }
    }
}

/// The body.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadTarget => "this is no URL\n",
            Self::Unknown => "there is nothing here\n",
            Self::Method => "this cannot be done here\n",
            Self::NoWebSocket => "this is a WebSocket\n",
            Self::TitlesFailed => "nobody knows the title\n",
            Self::TitlesLate => "nobody knows the title in time\n",
            Self::Broken(why) => return writeln!(f, "{why}"),
        })
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).expect("it is one of HTTP's");
        let mut response = (status, self.to_string()).into_response();
        if let Some(target) = self.location() {
            let target = HeaderValue::from_str(target).expect("`target` lets nothing else through");
            response.headers_mut().insert(header::LOCATION, target);
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).expect("it is one of HTTP's");
        (status, self.to_string()).into_response()
    }
}

/// The URL in a request's body.
///
/// # Errors
/// [`Refusal::BadTarget`]: it is none, or too long.
pub fn target(body: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::BadTarget)?.trim_ascii_end();
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_none_or(str::is_empty) || !is_plain || text.len() > LONGEST_TARGET {
        return Err(Refusal::BadTarget);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_are_kept() {
        assert_eq!(target(b"http://one/\n").as_deref(), Ok("http://one/"));
        assert_eq!(target(b"https://two").as_deref(), Ok("https://two"));
        let long = format!("http://{}", "x".repeat(LONGEST_TARGET));
        for wrong in ["", "one", "ftp://one/", "http://", "http://a b", "http://a\r\nb", "http://ä", &long] {
            assert_eq!(target(wrong.as_bytes()), Err(Refusal::BadTarget), "{wrong:?}");
        }
        assert_eq!(target(b"http://\xff"), Err(Refusal::BadTarget));
    }
}
