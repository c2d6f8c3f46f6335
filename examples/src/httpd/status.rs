//! The status codes this server gives.

use std::fmt;

/// A status code. Those of the 400s and 500s also serve as the errors of the parsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    #![allow(missing_docs, reason = "`reason` says it")]
    pub const OK: Status = Status(200);
    pub const PARTIAL: Status = Status(206);
    pub const MOVED: Status = Status(301);
    pub const NOT_MODIFIED: Status = Status(304);
    pub const BAD_REQUEST: Status = Status(400);
    pub const NOT_FOUND: Status = Status(404);
    pub const METHOD_NOT_ALLOWED: Status = Status(405);
    pub const TIMEOUT: Status = Status(408);
    pub const BODY_TOO_LARGE: Status = Status(413);
    pub const TARGET_TOO_LONG: Status = Status(414);
    pub const RANGE: Status = Status(416);
    pub const EXPECTATION: Status = Status(417);
    pub const HEAD_TOO_LARGE: Status = Status(431);
    pub const INTERNAL: Status = Status(500);
    pub const NOT_IMPLEMENTED: Status = Status(501);
    pub const VERSION: Status = Status(505);

    /// What the code says in words.
    pub fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            206 => "Partial Content",
            301 => "Moved Permanently",
            304 => "Not Modified",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Content Too Large",
            414 => "URI Too Long",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            505 => "HTTP Version Not Supported",
            _ => "Internal Server Error",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}
