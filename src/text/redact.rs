//! Takes secrets out of text that is handed to strangers: every value that is known to be one, and
//! whatever has the shape of one.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use regex_lite::{Captures, Regex};
use zeroize::Zeroizing;

const GONE: &str = "[redacted]";
/// Anything shorter would be found everywhere, and protects nothing.
const SHORTEST: usize = 4;

/// A word for a secret, and what stands between it and its value.
const KEY: &str = r#"(?im)((?:[a-z0-9_.-]*(?:passw|passphrase|secret|token|credential|api_?key|private_?key|recovery|cookie|authorization|bind_pw)[a-z0-9_.-]*|(?:[a-z0-9_.-]*[_.-])?(?:pass|pwd|pw))\\?["']?\s*[:=]\s*"#;

/// Values, by what they stand between: JSON within JSON, quotes of two kinds (as Python writes bytes,
/// and as the first of a list, too), and none. A line may be cut in the middle of one. What has no
/// quotes goes on to the end of a word, or, where a line holds nothing else, to the end of the line.
const VALUES: &[&str] = &[
    r#"\\")((?:[^"\\\n]|\\[^"])+)(\\")"#,
    r#"\[?\s*b?")((?:[^"\\\n]|\\.)+)("|$)"#,
    r"\[?\s*b?')((?:[^'\\\n]|\\.)+)('|$)",
    r#")((?:basic|bearer|token)?[ ]?[^\s"',;&\\}\])\[{][^\s"'&\\}\])]*)()"#,
];
/// A line of a file of settings that has no quotes: the value goes on to its end.
const LINE: &str = r#"(?im)(^[ \t]*(?:export[ ]+)?[a-z0-9_.-]*(?:passw|passphrase|secret|token|credential|api_?key|private_?key|cookie|bind_pw|_pass|_pwd)[a-z0-9_.-]*[ \t]*[:=][ \t]*)([^\s"'\[{][^"'\n]*)()$"#;
/// The rest of a list, once its first value is gone.
const LIST: &str = r#"(\[redacted\]["'],[ ]*b?["'])([^"'\n]+)(["'])"#;
/// The rest of what a browser sends.
const COOKIES: &str = r"(?im)(\bcookie:[ \t]*)([^\s][^\n]*)()$";

/// Shapes that secrets have. The first group is kept, and so is the third.
const SHAPES: &[&str] = &[
    // PEM, over lines or with them written as \n.
    r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----)([\s\S]*?)(-----END|$)",
    // Who is in front of a host.
    r"(?i)([a-z][a-z0-9+.-]*://[^\s/:@]*:)([^\s/@]+)(@)",
    // What is said in an Authorization header, wherever.
    r"(?i)(\b(?:bearer|basic)\s+)([a-z0-9._~+/=-]{8,})()",
    // Links that let in whoever has them, and web hooks, which hold their key in the path.
    r"(?i)(/(?:recovery/use-token|if/flow/[a-z0-9-]+/\?flow_token=|hooks?|services|webhooks?)/?)([a-z0-9._~/=+-]{8,})()",
    // age's own keys, and JSON web tokens.
    r"()(AGE-SECRET-KEY-[0-9A-Z]+|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)()",
];

/// What is taken out.
pub struct Redactor {
    known: Vec<Zeroizing<String>>,
    shapes: Vec<Regex>,
}

impl Redactor {
    /// Takes out these values, in every form that they are written in, and what looks like one.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> Self {
        let mut known: Vec<Zeroizing<String>> = Vec::new();
        for value in values.into_iter().filter(|value| value.len() >= SHORTEST) {
            let percent =
                percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            let json = serde_json::to_string(value).unwrap_or_default();
            let forms = [
                value.to_owned(),
                percent.to_string(),
                json.trim_matches('"').to_owned(),
                STANDARD.encode(value),
                URL_SAFE.encode(value),
            ];
            known.extend(forms.into_iter().map(Zeroizing::new));
        }
        // A longer one may hold a shorter one.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        known.dedup();
        let whole = [COOKIES, LINE].into_iter().chain(SHAPES.iter().copied()).map(str::to_owned);
        let named = VALUES.iter().map(|value| format!("{KEY}{value}"));
        let shapes = whole.chain(named).chain([LIST.to_owned()]);
        let shapes = shapes.filter_map(|shape| Regex::new(&shape).ok()).collect();
        Redactor { known, shapes }
    }

    /// The text without them.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.known {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), GONE);
            }
        }
        for shape in &self.shapes {
            let replaced = shape.replace_all(&text, |found: &Captures<'_>| {
                let part = |at| found.get(at).map_or("", |part| part.as_str());
                match is_harmless(part(2)) {
                    true => part(0).to_owned(),
                    false => format!("{}{GONE}{}", part(1), part(3)),
                }
            });
            text = replaced.into_owned();
        }
        text
    }
}

// Where a secret lies is no secret, and neither is the begin of a list.
fn is_harmless(value: &str) -> bool {
    ["/etc/", "/run/", "/var/", "file:///"].iter().any(|start| value.starts_with(start))
        || ["{", "["].contains(&value)
        // Taken out already.
        || GONE.starts_with(value.trim())
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.known.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_understood() {
        assert_eq!(Redactor::new([]).shapes.len(), SHAPES.len() + VALUES.len() + 3);
    }

    #[test]
    fn known_values_go_in_every_form() {
        let value = "S3cr/et \"Wert\"+x";
        let redactor = Redactor::new([value, "abc"]);
        let json = serde_json::to_string(value).unwrap();
        let text = format!(
            "a {value} b {json} c {} d S3cr%2Fet%20%22Wert%22%2Bx abc",
            STANDARD.encode(value)
        );
        let clean = redactor.clean(&text);
        assert!(!clean.contains("S3cr") && !clean.contains("Wert"), "{clean}");
        assert!(!clean.contains(&STANDARD.encode(value)) && clean.contains("abc"), "{clean}");
    }

    #[test]
    fn what_looks_like_a_secret_goes() {
        let redactor = Redactor::new([]);
        for line in [
            "AUTHENTIK_LDAP__BIND_PASSWORD=hunter2x",
            "password = \"hunter2x\"",
            "{\"event\": \"x\", \"password\": \"hunter2x\", \"b\": 1}",
            "{\\\"client_secret\\\": \\\"hunter2x\\\"}",
            "url=redis://:hunter2x@cache:6379/1",
            "postgresql://authentik:hunter2x@db/authentik",
            "Authorization: Bearer hunter2xhunter2x",
            "curl -H 'Bearer hunter2xhunter2x'",
            "https://auth.example.com/recovery/use-token/hunter2xhunter2x/",
            "POST https://hooks.example.com/services/T00/B00/hunter2xhunter2x",
            "-----BEGIN PRIVATE KEY-----\nhunter2x\nhunter2x\n-----END PRIVATE KEY-----",
            "api_key: hunter2x,",
            "Cookie: authentik_session=hunter2x",
            "DB_PASS=hunter2x",
            "export PGPWD='hunter2x; y'; PWD=hunter2x",
            "password = \"a,b;c & hunter2x\"",
            "{\"password\": \"a \\\"b\\\" hunter2x\"}",
            "password: 'it is, hunter2x'",
            "'password': b'hunter2x'",
            "\"tokens\": [\"hunter2x\", \"b-hunter2x\"]",
            "Cookie: a=1; session=hunter2x",
            "curl: cookie: a=1; b=hunter2x",
            "password = \"cut hunter2x\nand more",
            "DB_PASSWORD=one,hunter2x",
            "smtp_password: one two hunter2x",
            "{'password': 'it\\'s hunter2x'}",
        ] {
            let clean = redactor.clean(line);
            assert!(!clean.contains("hunter2x") && clean.contains(GONE), "{line} → {clean}");
            assert_eq!(redactor.clean(&clean), clean, "twice");
            assert!(!clean.contains("redacted]]") && !clean.contains("[[red"), "{clean}");
        }
        let plain = "postgresql@17-main.service is active; see https://docs.example.com/a:b@c";
        assert_eq!(redactor.clean(plain), plain);
        let path = "AUTHENTIK_SECRET_KEY=file:///run/secrets/key secret:/etc/authentik/secrets/x";
        assert_eq!(redactor.clean(path), path);
    }
}
