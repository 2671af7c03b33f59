//! Which web addresses may be called.
//!
//! In: an address as somebody wrote it. Out: what is wrong with it, in words that never repeat it: it may hold a secret.
//! Never looks a name up and never connects.

use std::net::IpAddr;

use hyper::Uri;

/// `https`, or `http` to this machine; no password, no query.
pub fn check(text: &str) -> Result<(), &'static str> {
    // hyper drops a fragment without a word.
    if text.contains(['@', '?', '#']) {
        return Err("may hold no user, password, query or fragment");
    }
    let uri: Uri = text.parse().map_err(|_| "is no address, such as https://host/path")?;
    let host =
        uri.host().filter(|host| !host.is_empty()).ok_or("names no host, as https://host/path does")?;
    let has_port = uri.authority().is_some_and(|authority| authority.as_str().len() > host.len());
    if has_port && uri.port_u16().is_none_or(|port| port == 0) {
        return Err("has a port that is no number from 1 to 65535");
    }
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_this_machine(host) => Ok(()),
        Some("http") => Err("must begin with https: plain http is for addresses of this machine only"),
        _ => Err("must begin with https://"),
    }
}

/// By its address or as `localhost`; a name that merely begins so belongs to somebody else.
fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_http_to_this_machine_may_be_called() {
        for text in [
            "https://api.stripe.com/",
            "https://api.stripe.com",
            "https://proxy.example:8443/stripe/",
            "http://127.0.0.1:12111",
            "http://127.8.9.10/",
            "http://[::1]:12111/",
            "http://LOCALHOST:80/",
            "HTTPS://api.stripe.com/",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn no_other_address_may() {
        for text in [
            "",
            "api.stripe.com",
            "api.stripe.com:443",
            "/v1",
            "*",
            "ftp://api.stripe.com/",
            "file:///etc/passwd",
            "unix:/run/stripe",
            "https://",
            "https:///v1",
            "http://api.stripe.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://127.1/",
            "http://[::2]/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "https://user:password@api.stripe.com/",
            "https://user@api.stripe.com/",
            "http://127.0.0.1@example.com/",
            "https://api.stripe.com/?key=x",
            "https://api.stripe.com/#x",
            "https://api.stripe.com:99999/",
            "https://api.stripe.com:0/",
            "https://api.stripe.com:/",
            "https://api stripe.com/",
            "https://api.stripe.com/\r\nHost: example.com",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
