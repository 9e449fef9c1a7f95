//! The name a host is looked up by, and how the names of a `known_hosts` line are matched with it.
//!
//! OpenSSH: match.c `match_pattern_list` and `match_hostname`, hostfile.c `match_maybe_hashed`, misc.c `put_host_port`.

use super::hashed;

/// The names to look for, in order: the first that a file speaks of decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    first: Name,
    also: Vec<Name>,
}

/// One name of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As it stands in a file, in lower case: `[name]:port`, or bare where the port is 22 or belongs to no name.
    pub(super) text: String,
    /// What a host certificate must list.
    pub(super) principal: String,
    /// Whether its port was left off: then it vouches for a key it knows and says nothing against others, as when ssh
    /// looks without the port (sshconnect.c, "checking without port identifier").
    pub(super) bare: bool,
}

/// The names under which a line speaks of the host, as a set of their ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matched(u64);

impl Wanted {
    /// `name` and its port, then the others in their order, at most [`MAX_NAMES`] in all.
    pub(super) fn new(name: &str, port: Option<u16>, others: &[(String, Option<u16>)]) -> Self {
        let (first, bare) = forms(name, port);
        let mut also: Vec<_> = bare.into_iter().collect();
        for (name, port) in others {
            let (exact, bare) = forms(name, *port);
            also.push(exact);
            also.extend(bare);
        }
        also.truncate(MAX_NAMES - 1);
        Self { first, also }
    }

    /// The name under which a new key is written down.
    pub(super) fn first(&self) -> &Name {
        &self.first
    }

    /// All names with their ranks, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = (u32, &Name)> {
        (0..).zip(std::iter::once(&self.first).chain(&self.also))
    }

    /// Which names the first field of a line matches; `None` where the field is malformed.
    pub(super) fn matched(&self, field: &[u8]) -> Option<Matched> {
        let hashed = field.starts_with(b"|");
        let mut set = 0;
        for (rank, name) in self.names() {
            let is_it = if hashed {
                hashed::is(field, &name.text)?
            } else {
                listed(field, name.text.as_bytes())
            };
            set |= u64::from(is_it) << rank;
        }
        Some(Matched(set))
    }
}

impl Matched {
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    pub(super) fn has(self, rank: u32) -> bool {
        self.0 >> rank & 1 == 1
    }
}

/// The name with its port, and the bare one where those differ (misc.c `put_host_port`).
fn forms(name: &str, port: Option<u16>) -> (Name, Option<Name>) {
    let of = |text: String, bare| Name {
        text,
        principal: name.to_owned(),
        bare,
    };
    let lower = name.to_lowercase();
    match port.filter(|port| *port != SSH_PORT) {
        Some(port) => (
            of(format!("[{lower}]:{port}"), false),
            Some(of(lower, true)),
        ),
        None => (of(lower, false), None),
    }
}

/// Whether a comma list of patterns has `name` and none of its negated patterns does.
fn listed(list: &[u8], name: &[u8]) -> bool {
    let mut found = false;
    for pattern in list.split(|byte| *byte == b',') {
        match pattern.strip_prefix(b"!") {
            Some(negated) if like(negated, name) => return false,
            Some(_) => {}
            None => found = found || like(pattern, name),
        }
    }
    found
}

/// Whether `text` is as `pattern` says, `*` standing for any run and `?` for any one byte; ASCII case does not matter.
///
/// Goes back to the last `*` only, so the time is at most the product of both lengths.
pub(super) fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(seen) {
        match pattern.get(at) {
            Some(b'*') => {
                back = Some((at + 1, seen));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted.eq_ignore_ascii_case(byte) => {
                at += 1;
                seen += 1;
            }
            _ => match &mut back {
                Some((after_star, from)) => {
                    *from += 1;
                    (at, seen) = (*after_star, *from);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(at..)
        .is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

const SSH_PORT: u16 = 22;

/// Names looked up for one host; a line has its own and its node's, each in two forms.
const MAX_NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_openssh() {
        for (list, name, expected) in [
            ("host", "host", true),
            ("HOST", "host", true),
            ("host,other", "other", true),
            ("*", "host", true),
            ("h*t", "host", true),
            ("h?st", "host", true),
            ("h?st", "hst", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org,!bad.example.org", "bad.example.org", false),
            ("!bad.example.org,*.example.org", "bad.example.org", false),
            ("*.example.org,!bad.example.org", "ok.example.org", true),
            ("!host", "other", false),
            ("[host]:2222", "host", false),
            ("[host]:2222", "[host]:2222", true),
            ("[*]:2222", "[host]:2222", true),
            ("[a-z]ost", "host", false),
            ("a*b*c*d", "axxbyyczzd", true),
            ("a*b*c*d", "axxbyyczz", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            (",,host", "host", true),
        ] {
            assert_eq!(
                listed(list.as_bytes(), name.as_bytes()),
                expected,
                "{list} / {name}"
            );
        }
    }

    #[test]
    fn a_port_of_its_own_is_part_of_the_name() {
        let first = |name, port| Wanted::new(name, port, &[]).first().text.clone();
        assert_eq!(first("Host", Some(22)), "host");
        assert_eq!(first("Host", None), "host");
        assert_eq!(first("::1", Some(2222)), "[::1]:2222");
    }

    #[test]
    fn each_name_is_matched_by_its_rank() {
        let node = ("node".to_owned(), Some(22));
        let wanted = Wanted::new("host", Some(2222), &[node]);
        let of = |field: &[u8]| wanted.matched(field);
        assert_eq!(of(b"[host]:2222"), Some(Matched(0b001)));
        assert_eq!(of(b"host"), Some(Matched(0b010)));
        assert_eq!(of(b"node"), Some(Matched(0b100)));
        assert_eq!(of(b"node,[host]:2222"), Some(Matched(0b101)));
        assert_eq!(of(b"[host]:2223"), Some(Matched(0)));
        assert_eq!(of(b"|1|nonsense"), None);
    }

    #[test]
    fn names_without_end_are_cut() {
        let others = vec![("other".to_owned(), Some(2222)); 1000];
        assert_eq!(
            Wanted::new("host", None, &others).names().count(),
            MAX_NAMES
        );
    }
}
