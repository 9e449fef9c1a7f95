//! What may be negotiated: the owner's lists where the owner has spoken, ours elsewhere.

use std::borrow::Cow;

use russh::{Preferred, cipher, compression, kex, mac};

use crate::settings::Algorithms;

/// The owner's list names nothing that we can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the {kind} in the configuration is supported: {came}")]
pub struct NoneSupported {
    /// `KexAlgorithms`, `Ciphers` or `MACs`.
    pub kind: &'static str,
    /// What was listed.
    pub came: String,
}

/// The lists for russh. Host key algorithms are the verifier's business and are put in by the caller.
pub(crate) fn preferred(algorithms: &Algorithms) -> Result<Preferred, NoneSupported> {
    let mut kex = listed("KexAlgorithms", algorithms.kex.as_deref(), KEX)?;
    kex.extend(KEX_EXTENSIONS);
    let compression: &[compression::Name] = if algorithms.compression {
        &[
            compression::ZLIB_LEGACY,
            compression::ZLIB,
            compression::NONE,
        ]
    } else {
        &[compression::NONE]
    };
    Ok(Preferred {
        kex: Cow::Owned(kex),
        cipher: Cow::Owned(listed("Ciphers", algorithms.ciphers.as_deref(), CIPHERS)?),
        mac: Cow::Owned(listed("MACs", algorithms.macs.as_deref(), MACS)?),
        compression: Cow::Owned(compression.to_vec()),
        ..Preferred::DEFAULT
    })
}

/// Whether the key exchange that will be chosen takes so long (10 ms to half a second in one piece: facts/russh.md,
/// section 2) that it must not run beside beating lines. RFC 4253 section 7.1: the first of ours that the peer has.
pub(crate) fn is_heavy(ours: &Preferred, theirs: &[String]) -> bool {
    ours.kex
        .iter()
        .map(AsRef::<str>::as_ref)
        .find(|name| theirs.iter().any(|their| their == name))
        .is_some_and(|name| name.starts_with("diffie-hellman-"))
}

fn listed<N>(
    kind: &'static str,
    names: Option<&[String]>,
    default: &[N],
) -> Result<Vec<N>, NoneSupported>
where
    N: Copy + for<'a> TryFrom<&'a str>,
{
    let Some(names) = names else {
        return Ok(default.to_vec());
    };
    let known: Vec<N> = names
        .iter()
        .filter(|name| !matches!(name.as_str(), "none" | "clear"))
        .filter_map(|name| N::try_from(name).ok())
        .collect();
    if known.is_empty() {
        let came = names.join(",");
        return Err(NoneSupported { kind, came });
    }
    Ok(known)
}

/// Post-quantum first, then the elliptic curves; finite fields last, since they are slow.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G14_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
];

/// Extension negotiation (RFC 8308) and strict key exchange (against Terrapin, CVE-2023-48795), always.
const KEX_EXTENSIONS: [kex::Name; 2] = [
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// AES-GCM costs a fifth of ChaCha20-Poly1305 for packets of a beat's size (facts/russh.md, section 3).
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn an_openssh_of_2008_can_be_asked_for() {
        let wanted = Algorithms {
            kex: Some(names(
                "diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1",
            )),
            ciphers: Some(names("aes128-cbc,aes128-ctr")),
            macs: Some(names("hmac-sha1,umac-64@openssh.com")),
            compression: false,
        };
        let preferred = preferred(&wanted).unwrap();
        assert_eq!(preferred.kex.first(), Some(&kex::DH_G14_SHA1));
        assert_eq!(
            *preferred.cipher,
            [cipher::AES_128_CBC, cipher::AES_128_CTR]
        );
        assert_eq!(*preferred.mac, [mac::HMAC_SHA1]);
        assert!(is_heavy(&preferred, &names("diffie-hellman-group14-sha1")));
    }

    #[test]
    fn a_list_of_strangers_or_of_none_is_refused() {
        let wanted = Algorithms {
            ciphers: Some(names("none,3way-cbc")),
            ..Algorithms::default()
        };
        assert_eq!(preferred(&wanted).unwrap_err().kind, "Ciphers");
    }

    #[test]
    fn post_quantum_where_both_can_and_light_wherever_a_curve_is_offered() {
        let preferred = preferred(&Algorithms::default()).unwrap();
        assert_eq!(preferred.kex.first(), Some(&kex::MLKEM768X25519_SHA256));
        let modern =
            names("sntrup761x25519-sha512,curve25519-sha256,diffie-hellman-group16-sha512");
        assert!(!is_heavy(&preferred, &modern));
        assert!(is_heavy(
            &preferred,
            &names("diffie-hellman-group16-sha512")
        ));
    }
}
