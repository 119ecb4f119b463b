//! A request before it's bound to a server, and a whole answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request,
    header::{self, HeaderValue},
    http,
};

/// A request to any server; the client adds scheme and host.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl HttpRequest {
    /// A request without a body. The path includes its query.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// When the name or the value isn't allowed in a head.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, http::Error> {
        let name = header::HeaderName::try_from(name)?;
        self.headers.append(name, HeaderValue::try_from(value)?);
        Ok(self)
    }

    /// Adds a header whose value is already checked.
    #[must_use]
    pub fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Replaces the body and declares it as JSON, unless the headers declare another type.
    #[must_use]
    pub fn json(mut self, body: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.headers.entry(header::CONTENT_TYPE).or_insert(json);
        self.body(body)
    }

    /// Binds the request to a server. `base` is scheme and authority.
    pub(crate) fn build(
        self,
        base: &str,
        host: &HeaderValue,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let uri = format!("{base}{}", self.path);
        let mut request =
            Request::builder().method(self.method).uri(uri).body(Full::new(self.body))?;
        request.headers_mut().insert(header::HOST, host.clone());
        request.headers_mut().extend(self.headers);
        Ok(request)
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl HttpResponse {
    /// The first value of a header, where it's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
