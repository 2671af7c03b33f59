//! Who runs this process, by the operating system's word.
//!
//! In: the process's own user number, and `/etc/passwd`. Out: an [`OsUser`]. Never believes a variable: `$USER` can be
//! anybody.

use crate::domain::proof::OsUser;

/// Where names of users stand. Users of a directory service have none here, and go by their number.
const NAMES: &str = "/etc/passwd";

pub fn os_user() -> OsUser {
    let uid = rustix::process::getuid().as_raw();
    let names = std::fs::read_to_string(NAMES).unwrap_or_default();
    OsUser { uid, name: name_of(uid, &names).unwrap_or_default() }
}

/// `name:password:uid:…`
fn name_of(uid: u32, names: &str) -> Option<String> {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    };
    names.lines().find_map(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_first_name_that_the_system_gives_it() {
        let names = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/:\nalso:x:1000:1000::/:\n";
        assert_eq!(name_of(1000, names).as_deref(), Some("ada"));
        assert_eq!(name_of(0, names).as_deref(), Some("root"));
        assert_eq!(name_of(7, names), None);
    }
}
