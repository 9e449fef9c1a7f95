//! The judgement on what a host shows.

use std::time::SystemTime;

use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::Certificate;
use russh::keys::ssh_key::public::KeyData;

use super::certificate::{self, CertificateFault};
use super::error::{HostKeyError, KeyName, MIN_RSA_BITS};
use super::line::{Entry, Marker};
use super::name::{Name, Wanted};
use super::place::Place;
use super::preference::same_type;
use super::record;
use super::trust::Trust;
use super::{Strict, Verifier};

impl Verifier {
    /// Judges what the host showed in key exchange, `now` being the wall clock that certificates go by.
    ///
    /// Under [`Strict::AcceptNew`] and [`Strict::No`] an unknown key is appended to the first user file before this returns
    /// (blocking, one short write).
    ///
    /// # Errors
    /// The key is refused; [`HostKeyError`] says why and what mends it.
    pub fn check(
        &self,
        shown: &PublicKeyOrCertificate,
        now: SystemTime,
    ) -> Result<Trust, HostKeyError> {
        let public = shown.public_key();
        let key = public.key_data();
        let certificate = shown.certificate();
        self.check_offered(key, certificate.is_some())?;
        self.check_length(key)?;
        self.check_revoked(key, certificate)?;
        let mut fault = None;
        if let Some(certificate) = certificate {
            match self.check_certificate(certificate, now) {
                Some(Ok(authority)) => return Ok(Trust::Certified { authority }),
                Some(Err(why)) => fault = Some(why),
                None => {}
            }
        }
        self.check_plain(key, fault)
    }

    /// russh does not hold the key shown against the algorithm negotiated.
    fn check_offered(&self, key: &KeyData, certified: bool) -> Result<(), HostKeyError> {
        let offered = if certified {
            &self.certificates
        } else {
            &self.plain
        };
        if offered.iter().any(|algorithm| same_type(key, algorithm)) {
            return Ok(());
        }
        Err(HostKeyError::NotOffered {
            name: self.wanted.first().text.clone(),
            shown: KeyName::of(key),
        })
    }

    fn check_length(&self, key: &KeyData) -> Result<(), HostKeyError> {
        match key {
            KeyData::Rsa(rsa) if rsa.key_size() < MIN_RSA_BITS => Err(HostKeyError::ShortRsa {
                name: self.wanted.first().text.clone(),
                bits: rsa.key_size(),
                least: MIN_RSA_BITS,
            }),
            _ => Ok(()),
        }
    }

    /// hostfile.c `check_key_not_revoked`: the key and, of a certificate, its authority.
    fn check_revoked(
        &self,
        key: &KeyData,
        certificate: Option<&Certificate>,
    ) -> Result<(), HostKeyError> {
        let authority = certificate.map(Certificate::signature_key);
        for key in [Some(key), authority].into_iter().flatten() {
            let marked = self.of(Marker::Revoked).find(|entry| entry.key == *key);
            let place = marked.map(|entry| &entry.place);
            if let Some(place) = place.or_else(|| self.revoked.place_of(key)) {
                return Err(HostKeyError::Revoked {
                    name: self.wanted.first().text.clone(),
                    revoked: KeyName::of(key),
                    place: place.clone(),
                });
            }
        }
        Ok(())
    }

    /// `None` where no known authority signed it.
    fn check_certificate(
        &self,
        certificate: &Certificate,
        now: SystemTime,
    ) -> Option<Result<Place, CertificateFault>> {
        let signer = certificate.signature_key();
        let allowed = self.ca_algorithms.as_deref();
        let mut fault = None;
        for (rank, name) in self.wanted.names() {
            let mut signers = self
                .of(Marker::Authority)
                .filter(|entry| entry.key == *signer);
            let Some(authority) = signers.find(|entry| entry.matched.has(rank)) else {
                continue;
            };
            match certificate::check(certificate, &name.principal, allowed, now) {
                Ok(()) => return Some(Ok(authority.place.clone())),
                Err(why) => fault = fault.or(Some(why)),
            }
        }
        fault.map(Err)
    }

    fn check_plain(
        &self,
        key: &KeyData,
        fault: Option<CertificateFault>,
    ) -> Result<Trust, HostKeyError> {
        let own: Vec<_> = self.of(Marker::Own).collect();
        match compare(&self.wanted, &own, key) {
            Compared::Same(entry) => Ok(Trust::Known {
                place: entry.place.clone(),
            }),
            Compared::Other(entry, name) => self.other(key, entry, name),
            Compared::Nothing if self.strict == Strict::Yes => Err(HostKeyError::Unknown {
                name: self.wanted.first().text.clone(),
                shown: KeyName::of(key),
                certificate: fault,
                mend: self.mend_unknown(),
            }),
            Compared::Nothing => record::record(self, key),
        }
    }

    /// What becomes of a key that is not the known one.
    pub(super) fn other(
        &self,
        key: &KeyData,
        entry: &Entry,
        name: &Name,
    ) -> Result<Trust, HostKeyError> {
        let (shown, known) = (KeyName::of(key), KeyName::of(&entry.key));
        let place = entry.place.clone();
        if self.strict == Strict::No {
            return Ok(Trust::Changed { shown, place });
        }
        let name = name.text.clone();
        let file = quoted(&place.path().to_string_lossy());
        let mend = format!("ssh-keygen -f {file} -R {}", quoted(&name));
        Err(if same_type(&entry.key, &key.algorithm()) {
            HostKeyError::Changed {
                name,
                shown,
                known,
                place,
                mend,
            }
        } else {
            HostKeyError::OtherType {
                name,
                shown,
                known,
                place,
                mend,
            }
        })
    }

    fn mend_unknown(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} "));
        let file = self.user_files.first();
        let file = file.map_or_else(|| "known_hosts".into(), |path| path.to_string_lossy());
        format!(
            "ssh-keyscan {}{} >> {}",
            port.unwrap_or_default(),
            quoted(&self.wanted.first().principal),
            quoted(&file)
        )
    }

    fn of(&self, marker: Marker) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.marker == marker)
    }
}

/// How a key stands to the keys known.
pub(super) enum Compared<'a> {
    /// It is one of them.
    Same(&'a Entry),
    /// Others are known, under that name.
    Other(&'a Entry, &'a Name),
    /// None is known, or others only under a bare name, which says nothing of this port.
    Nothing,
}

/// hostfile.c `check_hostkeys_by_key_or_type`, name after name.
pub(super) fn compare<'a>(wanted: &'a Wanted, own: &[&'a Entry], key: &KeyData) -> Compared<'a> {
    for (rank, name) in wanted.names() {
        let known = || own.iter().filter(|entry| entry.matched.has(rank));
        if let Some(same) = known().find(|entry| entry.key == *key) {
            return Compared::Same(same);
        }
        let of_type = known().find(|entry| same_type(&entry.key, &key.algorithm()));
        match of_type.or_else(|| known().next()) {
            Some(other) if !name.bare => return Compared::Other(other, name),
            _ => {}
        }
    }
    Compared::Nothing
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
