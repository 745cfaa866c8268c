//! What differs between PostgreSQL's major versions, as far as it matters here.

/// The locale clauses of `CREATE DATABASE` that give UTF-8 on every host, whatever its locales.
///
/// From 17 on the builtin provider has C.UTF-8, whose order never changes with the C library
/// (release notes 17, "builtin collation provider"); before, it is the C library's own.
pub fn locale_clause(major: u32) -> &'static str {
    if major >= 17 {
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'"
    } else {
        "LOCALE 'C.UTF-8'"
    }
}
