//! The links, in SQLite. All calls block, most of them for some microseconds.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Result, params};

/// The one connection to the database: whoever owns it needs no lock.
pub struct Links {
    database: Connection,
}

/// A link, and how often it was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads.
    pub target: String,
    /// How many followed it.
    pub visits: u64,
}

impl Links {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open(path: &Path) -> Result<Self> {
        let database = Connection::open(path)?;
        // A commit is safe from a crash of the service, and costs no fsync. No other process opens the
        // file, so no call needs to lock it.
        database.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = OFF;
             CREATE TABLE IF NOT EXISTS links (
                 id INTEGER PRIMARY KEY,
                 target TEXT NOT NULL,
                 visits INTEGER NOT NULL DEFAULT 0
             );",
        )?;
        Ok(Self { database })
    }

    /// Keeps a link, and gives its code.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn create(&mut self, target: &str) -> Result<String> {
        let mut insert = self.database.prepare_cached("INSERT INTO links (target) VALUES (?1)")?;
        Ok(code(insert.insert(params![target])?))
    }

    /// The link of a code, if there is one.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn find(&mut self, code: &str) -> Result<Option<Link>> {
        let Some(id) = id(code) else { return Ok(None) };
        let mut select = self.database.prepare_cached("SELECT target, visits FROM links WHERE id = ?1")?;
        select.query_row([id], |row| Ok(Link { target: row.get(0)?, visits: row.get(1)? })).optional()
    }

    /// Counts a visit, and gives where the link of this code leads, if there is one.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn visit(&mut self, code: &str) -> Result<Option<String>> {
        let Some(id) = id(code) else { return Ok(None) };
        let mut update = self
            .database
            .prepare_cached("UPDATE links SET visits = visits + 1 WHERE id = ?1 RETURNING target")?;
        update.query_row([id], |row| row.get(0)).optional()
    }
}

const RADIX: u8 = 36;

/// The code of a link: its number, in digits and small letters.
fn code(id: i64) -> String {
    let mut left = id.unsigned_abs();
    let mut digits = Vec::new();
    while left > 0 {
        let digit = (left % u64::from(RADIX)) as u32;
        digits.push(char::from_digit(digit, RADIX.into()).expect("a remainder is a digit"));
        left /= u64::from(RADIX);
    }
    digits.iter().rev().collect()
}

/// The number of a code that [`code`] may have given.
fn id(code: &str) -> Option<i64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    if code.is_empty() || code.starts_with('0') || !code.bytes().all(is_digit) {
        return None;
    }
    i64::from_str_radix(code, RADIX.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_to_its_number() {
        for number in [1, 35, 36, 37, 1_000_000, i64::MAX] {
            assert_eq!(id(&code(number)), Some(number), "{}", code(number));
        }
    }

    #[test]
    fn what_is_no_code_is_found_nowhere() {
        for wrong in ["", "0", "01", "-1", "+1", "A", "1 ", "zzzzzzzzzzzzzzzz"] {
            assert_eq!(id(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn visits_are_counted() {
        let mut links = Links::open(Path::new(":memory:")).unwrap();
        let code = links.create("http://one/").unwrap();
        assert_eq!(links.visit(&code).unwrap().as_deref(), Some("http://one/"));
        assert_eq!(links.visit("2").unwrap(), None);
        let expected = Link { target: "http://one/".into(), visits: 1 };
        assert_eq!(links.find(&code).unwrap(), Some(expected));
        assert_eq!(links.find("2").unwrap(), None);
    }
}
