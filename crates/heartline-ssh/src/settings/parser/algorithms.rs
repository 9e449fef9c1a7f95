//! Lists of algorithms: plain, `+` (append), `-` (take away), `^` (put first). Source: `ssh_config(5)`;
//! OpenSSH `kex.c` (`kex_assemble_names`), `myproposal.h` of 9.2.
//!
//! A name nobody here has heard of is kept: the connection drops what it cannot do. The default of the key
//! exchange leads with `mlkem768x25519-sha256` as OpenSSH does since 10.0, so that a `+` does not take the
//! post-quantum exchange away.

use super::pattern::{matches, matches_list};

/// One kind of list.
#[derive(Clone, Copy, Debug)]
pub(in crate::settings) struct Kind {
    /// What ssh has by itself.
    defaults: &'static [&'static str],
    /// What wildcards in a list that does not begin with `-` stand for, in ssh's order; empty where
    /// such a list takes no wildcards.
    all: &'static [&'static str],
}

impl Kind {
    /// Whether `written` can be a value.
    pub(super) fn is_valid(self, written: &str) -> bool {
        let names = written.strip_prefix(['+', '-', '^']).unwrap_or(written);
        let wild = !self.all.is_empty() || written.starts_with('-');
        names.split(',').all(|name| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_graphic() && b != b'!')
                && (wild || !name.contains(['*', '?']))
        })
    }

    /// The whole list; `None` where it comes out as ssh's own.
    pub(in crate::settings) fn spelled_out(self, written: &str) -> Option<Vec<String>> {
        let mut list = Vec::new();
        if let Some(names) = written.strip_prefix('+') {
            self.append_defaults(&mut list);
            self.append(&mut list, names);
        } else if let Some(patterns) = written.strip_prefix('-') {
            let kept = self.defaults.iter().filter(|d| !matches_list(d, patterns));
            list.extend(kept.map(|name| (*name).to_owned()));
        } else if let Some(names) = written.strip_prefix('^') {
            self.append(&mut list, names);
            self.append_defaults(&mut list);
        } else {
            self.append(&mut list, written);
        }
        (list != self.defaults).then_some(list)
    }

    /// The same with the defaults of another release.
    #[cfg(test)]
    pub(in crate::settings) fn with_defaults(self, defaults: Vec<String>) -> Self {
        let leaked: Vec<&'static str> = defaults.into_iter().map(|d| &*d.leak()).collect();
        Self {
            defaults: leaked.leak(),
            ..self
        }
    }

    fn append_defaults(self, list: &mut Vec<String>) {
        for name in self.defaults {
            push_new(list, name);
        }
    }

    fn append(self, list: &mut Vec<String>, names: &str) {
        for name in names.split(',').filter(|name| !name.is_empty()) {
            if name.contains(['*', '?']) {
                for known in self.all.iter().filter(|known| matches(known, name)) {
                    push_new(list, known);
                }
            } else {
                push_new(list, name);
            }
        }
    }
}

fn push_new(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|have| have == name) {
        list.push(name.to_owned());
    }
}

/// `KexAlgorithms`.
pub(in crate::settings) const KEX: Kind = Kind {
    defaults: &[
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group14-sha256",
    ],
    all: &[],
};

/// `Ciphers`.
pub(in crate::settings) const CIPHERS: Kind = Kind {
    defaults: &[
        "chacha20-poly1305@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
    ],
    all: &[],
};

/// `MACs`.
pub(in crate::settings) const MACS: Kind = Kind {
    defaults: &[
        "umac-64-etm@openssh.com",
        "umac-128-etm@openssh.com",
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha1-etm@openssh.com",
        "umac-64@openssh.com",
        "umac-128@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
        "hmac-sha1",
    ],
    all: &[],
};

/// `HostKeyAlgorithms` and `PubkeyAcceptedAlgorithms`.
pub(in crate::settings) const KEYS: Kind = Kind {
    defaults: &[
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com",
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "rsa-sha2-512-cert-v01@openssh.com",
        "rsa-sha2-256-cert-v01@openssh.com",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ],
    all: &[
        "ssh-ed25519",
        "ssh-ed25519-cert-v01@openssh.com",
        "sk-ssh-ed25519@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-dss",
        "ssh-dss-cert-v01@openssh.com",
        "ssh-rsa",
        "ssh-rsa-cert-v01@openssh.com",
        "rsa-sha2-256",
        "rsa-sha2-256-cert-v01@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-512-cert-v01@openssh.com",
    ],
};

/// `CASignatureAlgorithms`.
pub(in crate::settings) const CA: Kind = Kind {
    defaults: &[
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ],
    all: &[
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-dss",
        "ssh-rsa",
        "rsa-sha2-256",
        "rsa-sha2-512",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn list(kind: Kind, written: &str) -> String {
        assert!(kind.is_valid(written), "{written}");
        kind.spelled_out(written).unwrap().join(",")
    }

    #[test]
    fn the_four_forms() {
        assert_eq!(list(CIPHERS, "aes256-ctr,x@y"), "aes256-ctr,x@y");
        let all = CIPHERS.defaults.join(",");
        assert_eq!(list(CIPHERS, "+aes128-cbc,aes256-ctr"), all + ",aes128-cbc");
        assert_eq!(list(CIPHERS, "-aes*"), "chacha20-poly1305@openssh.com");
        assert!(list(CIPHERS, "^3des-cbc,aes256-ctr").starts_with("3des-cbc,aes256-ctr,chacha20"));
        assert_eq!(list(CA, "ssh-rs*,ssh-ed*"), "ssh-rsa,ssh-ed25519");
        assert_eq!(list(CIPHERS, "-*"), "");
    }

    #[test]
    fn ssh_s_own_list_is_no_word_of_the_owner() {
        assert_eq!(MACS.spelled_out(&MACS.defaults.join(",")), None);
        assert_eq!(MACS.spelled_out("-nothing-like-it"), None);
        assert_eq!(MACS.spelled_out("+hmac-sha1"), None);
    }

    #[test]
    fn the_post_quantum_exchange_survives_a_plus() {
        assert!(list(KEX, "+diffie-hellman-group14-sha1").starts_with("mlkem768x25519-sha256,"));
    }

    #[test]
    fn broken_lists() {
        for written in ["", "+", "a,,b", "a b", "!a", "aes*"] {
            assert!(!CIPHERS.is_valid(written), "{written}");
        }
        assert!(KEYS.is_valid("ecdsa*") && CIPHERS.is_valid("-aes*"));
    }
}
