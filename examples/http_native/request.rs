//! What a request asks for, and what its answer is: HTTP without any waiting.

const MOST_HEADERS: usize = 64;
/// Bodies are skipped, and none may be longer than this, in bytes.
const LONGEST_BODY: usize = 1 << 20;

const OK: &str = "200 OK";
const BAD_REQUEST: &str = "400 Bad Request";
const NOT_FOUND: &str = "404 Not Found";
const NOT_ALLOWED: &str = "405 Method Not Allowed\r\nAllow: GET, HEAD";
const BODY_TOO_LARGE: &str = "413 Content Too Large";
pub const HEAD_TOO_LARGE: &str = "431 Request Header Fields Too Large";
const NOT_IMPLEMENTED: &str = "501 Not Implemented";

pub struct Request {
    pub status: &'static str,
    pub content: &'static str,
    /// The answer has no content, only its length.
    pub is_head: bool,
    /// The length of the body, which begins after the head, in bytes.
    pub body: usize,
    /// The client sends the body only after `100 Continue`.
    pub expects_continue: bool,
    /// The client will not send another one.
    pub is_last: bool,
}

impl Request {
    /// The request at the beginning of `bytes` and the length of its head, if all of that is there.
    ///
    /// # Errors
    /// The status with which the request is to be refused.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LARGE),
            Err(_) => return Err(BAD_REQUEST),
        };
        let method = head.method.unwrap_or_default();
        let is_old = head.version == Some(0);
        let (status, content) = route(method, head.path.unwrap_or_default());
        let is_head = method == "HEAD";
        let mut request =
            Self { status, content, is_head, body: 0, expects_continue: false, is_last: is_old };
        let (mut hosts, mut body) = (0, None);
        for header in head.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                hosts += 1;
            } else if is("connection") {
                request.is_last |= lists(header.value, "close");
            } else if is("expect") {
                request.expects_continue |= !is_old && lists(header.value, "100-continue");
            } else if is("transfer-encoding") {
                return Err(NOT_IMPLEMENTED);
            } else if is("content-length") {
                let length = decimal(header.value).ok_or(BAD_REQUEST)?;
                // Two different lengths are how a request is smuggled past a proxy.
                if body.replace(length).is_some_and(|earlier| earlier != length) {
                    return Err(BAD_REQUEST);
                }
            }
        }
        request.body = body.unwrap_or(0);
        if request.body > LONGEST_BODY {
            return Err(BODY_TOO_LARGE);
        }
        if hosts != 1 && !(is_old && hosts == 0) {
            return Err(BAD_REQUEST);
        }
        Ok(Some((request, length)))
    }
}

fn route(method: &str, target: &str) -> (&'static str, &'static str) {
    let path = target.split('?').next().unwrap_or_default();
    match (path, method) {
        ("/", "GET" | "HEAD") => (OK, "hello, world\n"),
        ("/", _) => (NOT_ALLOWED, "this can only be read\n"),
        _ => (NOT_FOUND, "there is nothing here\n"),
    }
}

/// Whether a header's value, a list with commas, has this word.
fn lists(value: &[u8], word: &str) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Digits alone: `str::parse` would take a sign as well.
fn decimal(value: &[u8]) -> Option<usize> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
