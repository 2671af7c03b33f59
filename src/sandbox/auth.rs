//! Keys: any test key opens the same account; a live-looking one, or none, opens nothing.
//!
//! In: the `Authorization` header. Out: the key's kind, or a 401 in Stripe's shape. Never keeps or repeats a key.

use super::error::ApiError;

const TEST_KEYS: [(&str, Key); 2] = [("sk_test_", Key::Secret), ("rk_test_", Key::Restricted)];
const NO_KEY: &str = "You did not provide an API key. You need to provide your API key in the Authorization header, \
                      using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
const LIVE_KEY: &str = "Invalid API Key provided: it is a live key, and this is a sandbox. Use a test key, such as sk_test_anything.";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Secret,
    Restricted,
}

pub fn check(header: Option<&str>) -> Result<Key, ApiError> {
    let (scheme, given) =
        header.and_then(|header| header.trim().split_once(' ')).ok_or(ApiError::unauthorized(NO_KEY))?;
    let key = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(given.trim().to_owned()),
        // The key is the user name, and there is no password.
        "basic" => base64(given.trim()).map(|pair| pair.split(':').next().unwrap_or_default().to_owned()),
        _ => None,
    };
    let kind = |key: &str| {
        TEST_KEYS.into_iter().find(|(start, _)| key.len() > start.len() && key.starts_with(start))
    };
    match key.as_deref().map(|key| (key, kind(key))) {
        None | Some(("", _)) => Err(ApiError::unauthorized(NO_KEY)),
        Some((_, Some((_, kind)))) => Ok(kind),
        Some((key, None)) if key.contains("_live_") => Err(ApiError::unauthorized(LIVE_KEY)),
        Some(_) => Err(ApiError::unauthorized("Invalid API Key provided: it is no test key.")),
    }
}

fn base64(text: &str) -> Option<String> {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut bytes = Vec::new();
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap_or_default());
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_key_opens_and_everything_else_does_not() {
        for header in ["Bearer sk_test_1", "Basic c2tfdGVzdF94Og==", "Basic c2tfdGVzdF94"] {
            assert_eq!(check(Some(header)).unwrap(), Key::Secret, "{header}");
        }
        assert_eq!(check(Some("bearer rk_test_x")).unwrap(), Key::Restricted);
        for header in
            ["", "Bearer", "Bearer sk_live_1", "Bearer sk_test_", "Basic ???", "Basic c2tfbGl2ZV94Og=="]
        {
            assert_eq!(check(Some(header)).unwrap_err().status, 401, "{header}");
        }
        assert_eq!(check(None).unwrap_err().status, 401);
    }
}
