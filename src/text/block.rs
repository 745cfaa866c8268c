//! A marked block of ours in a text of somebody else's. All other bytes stay as they are.

/// First line of a block.
pub const BEGIN: &str = "# authentik-install: begin, managed; edits between the marks are lost";
/// Last line of a block.
pub const END: &str = "# authentik-install: end";

/// Where a block goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Above the first line that is neither blank nor a comment.
    First,
    /// Below everything.
    Last,
}

/// The text with a block that holds these lines, in the place of the block that is there if any.
pub fn insert(text: &str, lines: &[&str], place: Place) -> String {
    let rest = remove(text);
    let eol = if rest.contains("\r\n") { "\r\n" } else { "\n" };
    let mut block = String::new();
    for line in std::iter::once(BEGIN).chain(lines.iter().copied()).chain([END]) {
        block.push_str(line);
        block.push_str(eol);
    }
    match place {
        Place::First => {
            let at = first_record(&rest);
            let (head, tail) = rest.split_at(at);
            // A text whose last line has no end gets one, inside the block's own bytes.
            if head.is_empty() || head.ends_with('\n') {
                format!("{head}{block}{tail}")
            } else {
                format!("{head}{eol}{}", block.trim_end_matches(eol))
            }
        }
        Place::Last if rest.is_empty() || rest.ends_with('\n') => format!("{rest}{block}"),
        Place::Last => format!("{rest}{eol}{}", block.trim_end_matches(eol)),
    }
}

/// The text without the block, exactly as it was before [`insert`].
pub fn remove(text: &str) -> String {
    let Some(begin) = text.find(BEGIN) else { return text.to_owned() };
    let (head, from_begin) = text.split_at(begin);
    let Some(end) = from_begin.find(END) else { return text.to_owned() };
    let (_, tail) = from_begin.split_at(end + END.len());
    let with_eol = tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix('\n'));
    match with_eol {
        Some(tail) => format!("{head}{tail}"),
        // Put behind a last line without an end: that end was ours.
        None => {
            let eol = if from_begin.starts_with(&format!("{BEGIN}\r\n")) { "\r\n" } else { "\n" };
            format!("{}{tail}", head.strip_suffix(eol).unwrap_or(head))
        }
    }
}

/// The text without the block, or `None` if it has none.
pub fn taken_out(text: &str) -> Option<String> {
    content(text).map(|_| remove(text))
}

/// The lines between the marks, if there is a block.
pub fn content(text: &str) -> Option<Vec<&str>> {
    let (_, from_begin) = text.split_once(BEGIN)?;
    let (inside, _) = from_begin.split_once(END)?;
    Some(inside.lines().filter(|line| !line.is_empty()).collect())
}

fn first_record(text: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim();
        if !shown.is_empty() && !shown.starts_with('#') {
            return at;
        }
        at += line.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_above_the_first_record_and_below_the_comments() {
        let text = "# note\n\nlocal all all peer\n";
        let out = insert(text, &["local a a scram-sha-256"], Place::First);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[2], BEGIN);
        assert_eq!(lines[3], "local a a scram-sha-256");
        assert_eq!(lines[5], "local all all peer");
        assert_eq!(remove(&out), text);
    }

    #[test]
    fn a_second_insert_changes_nothing() {
        for place in [Place::First, Place::Last] {
            for text in ["", "a\n", "a", "# c", "a\r\nb\r\n"] {
                let once = insert(text, &["x"], place);
                assert_eq!(insert(&once, &["x"], place), once, "{text:?}");
                assert_eq!(remove(&once), text, "{text:?}");
                assert_eq!(content(&once), Some(vec!["x"]));
            }
        }
    }
}
