//! NTLM as a server speaks it: the challenge it sends, the proof it asks for, and the signature it gives back.
//!
//! - Only NTLMv2 with extended session security; LM, NTLMv1 and anonymous logons are refused.
//! - The challenge carries the time, so a client must protect its messages with a MIC, which is checked.
//! - All that comes from outside is read through slices that may be absent; nothing is trusted to be there.
//!
//! Names and numbers are those of MS-NLMP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};

use super::rc4::Rc4;

pub(crate) const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

const UNICODE: u32 = 0x1;
const OEM: u32 = 0x2;
const REQUEST_TARGET: u32 = 0x4;
const SIGN: u32 = 0x10;
const SEAL: u32 = 0x20;
const NTLM: u32 = 0x200;
const ALWAYS_SIGN: u32 = 0x8000;
const TARGET_TYPE_DOMAIN: u32 = 0x1_0000;
const EXTENDED_SESSION_SECURITY: u32 = 0x8_0000;
const TARGET_INFO: u32 = 0x80_0000;
const VERSION: u32 = 0x200_0000;
const KEY_128: u32 = 0x2000_0000;
const KEY_EXCHANGE: u32 = 0x4000_0000;
const KEY_56: u32 = 0x8000_0000;

/// Windows Server 2019, NTLM revision 15.
const SERVER_VERSION: [u8; 8] = [10, 0, 0x63, 0x45, 0, 0, 0, 15];
/// Where the payload of a challenge begins, and the MIC of an authenticate message stands.
const CHALLENGE_HEADER: u32 = 56;
const MIC: std::ops::Range<usize> = 72..88;
const AV_FLAGS: u16 = 6;
const AV_FLAG_MIC: u32 = 2;
/// From 1601 to 1970, where the two clocks begin.
const FILETIME_OFFSET: Duration = Duration::from_secs(11_644_473_600);

/// A handshake that waits for its last message.
pub(crate) struct Handshake {
    negotiate: Vec<u8>,
    /// The message for the client.
    pub(crate) challenge: Vec<u8>,
    nonce: [u8; 8],
}

/// Who the client says it is, with its proof.
pub(crate) struct Authenticate<'a> {
    pub(crate) domain: String,
    pub(crate) user: String,
    message: &'a [u8],
    response: &'a [u8],
    flags: u32,
}

/// Keys of an accepted handshake.
pub(crate) struct Session {
    key: [u8; 16],
    flags: u32,
}

impl Handshake {
    /// Answers a negotiate message, or `None` if it is none or its client cannot do NTLMv2.
    pub(crate) fn new(negotiate: &[u8], domain: &str, computer: &str, nonce: [u8; 8], now: SystemTime) -> Option<Self> {
        let rest = negotiate.strip_prefix(SIGNATURE)?;
        let asked = u32_at(rest, 4).filter(|_| u32_at(rest, 0) == Some(1))?;
        // Names are Unicode where the client can read it.
        let charset = [UNICODE, OEM].into_iter().find(|flag| asked & flag != 0)?;
        if asked & EXTENDED_SESSION_SECURITY == 0 {
            return None;
        }
        let flags = charset
            | REQUEST_TARGET
            | NTLM
            | TARGET_TYPE_DOMAIN
            | EXTENDED_SESSION_SECURITY
            | TARGET_INFO
            | VERSION
            | asked & (SIGN | SEAL | ALWAYS_SIGN | KEY_128 | KEY_EXCHANGE | KEY_56);
        let name = if charset == UNICODE { utf16(domain) } else { domain.as_bytes().to_vec() };
        let info = target_info(domain, computer, now);
        let mut challenge = [SIGNATURE.as_slice(), &2_u32.to_le_bytes()].concat();
        challenge.extend(field(name.len(), CHALLENGE_HEADER));
        challenge.extend(flags.to_le_bytes());
        challenge.extend(nonce);
        challenge.extend([0; 8]);
        challenge.extend(field(info.len(), CHALLENGE_HEADER.saturating_add(length(&name).into())));
        challenge.extend(SERVER_VERSION);
        challenge.extend(name);
        challenge.extend(info);
        Some(Self { negotiate: negotiate.to_vec(), challenge, nonce })
    }

    /// Checks the proof of an authenticate message against a password.
    pub(crate) fn verify(&self, authenticate: &Authenticate<'_>, password: &str) -> Option<Session> {
        let (proof, blob) = authenticate.response.split_at_checked(16)?;
        let owf = ntowf_v2(&authenticate.user, &authenticate.domain, password);
        hmac(&owf, &[&self.nonce, blob]).verify_slice(proof).ok()?;
        let base = digest(hmac(&owf, &[proof]));
        let key = if authenticate.flags & KEY_EXCHANGE == 0 {
            base
        } else {
            let sent: [u8; 16] = payload(authenticate.message, 52)?.try_into().ok()?;
            Rc4::new(&base).apply(sent)
        };
        if av_flags(blob)? & AV_FLAG_MIC != 0 {
            let mic = authenticate.message.get(MIC)?;
            let mut blank = authenticate.message.to_vec();
            blank.get_mut(MIC)?.fill(0);
            hmac(&key, &[&self.negotiate, &self.challenge, &blank]).verify_slice(mic).ok()?;
        }
        Some(Session { key, flags: authenticate.flags })
    }
}

impl<'a> Authenticate<'a> {
    /// Reads an authenticate message.
    pub(crate) fn read(message: &'a [u8]) -> Option<Self> {
        let rest = message.strip_prefix(SIGNATURE)?;
        if u32_at(rest, 0) != Some(3) {
            return None;
        }
        let response = payload(message, 20)?;
        let flags = u32_at(message, 60)?;
        let text = |at| {
            let name = payload(message, at)?;
            Some(if flags & UNICODE == 0 { String::from_utf8_lossy(name).into_owned() } else { from_utf16(name) })
        };
        Some(Self { domain: text(28)?, user: text(36)?, message, response, flags })
    }
}

impl Session {
    /// Returns the signature over a message of this side, or of the client.
    pub(crate) fn signature(&self, message: &[u8], by_server: bool) -> [u8; 16] {
        let way = if by_server { "server-to-client" } else { "client-to-server" };
        let key = |purpose: &str, base: &[u8]| {
            let magic = format!("session key to {way} {purpose} key magic constant\0");
            let hash: [u8; 16] = Md5::new().chain_update(base).chain_update(magic).finalize().into();
            hash
        };
        // The messages of SPNEGO are the first that either side signs.
        let sequence = [0; 4];
        let full = digest(hmac(&key("signing", &self.key), &[&sequence, message]));
        let mut sum = [0; 8];
        sum.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        if self.flags & KEY_EXCHANGE != 0 {
            let strength = match self.flags {
                flags if flags & KEY_128 != 0 => 16,
                flags if flags & KEY_56 != 0 => 7,
                _ => 5,
            };
            sum = Rc4::new(&key("sealing", self.key.get(..strength).unwrap_or_default())).apply(sum);
        }
        let mut signature = [0; 16];
        let parts = 1_u32.to_le_bytes().into_iter().chain(sum).chain(sequence);
        signature.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        signature
    }
}

fn ntowf_v2(user: &str, domain: &str, password: &str) -> [u8; 16] {
    let hash: [u8; 16] = Md4::digest(utf16(password)).into();
    digest(hmac(&hash, &[&utf16(&user.to_uppercase()), &utf16(domain)]))
}

fn target_info(domain: &str, computer: &str, now: SystemTime) -> Vec<u8> {
    let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(FILETIME_OFFSET).as_nanos() / 100;
    let time = u64::try_from(time).unwrap_or_default().to_le_bytes();
    let dns_domain = format!("{}.example.test", domain.to_lowercase());
    let dns_computer = format!("{}.{dns_domain}", computer.to_lowercase());
    let mut info = Vec::new();
    for (id, value) in [
        (2_u16, utf16(domain)),
        (1, utf16(computer)),
        (4, utf16(&dns_domain)),
        (3, utf16(&dns_computer)),
        (5, utf16(&dns_domain)),
        (7, time.to_vec()),
        (0, Vec::new()),
    ] {
        info.extend(id.to_le_bytes());
        info.extend(length(&value).to_le_bytes());
        info.extend(value);
    }
    info
}

/// Returns the flags among the client's attribute pairs, which begin behind the 28 bytes of the blob's head.
fn av_flags(blob: &[u8]) -> Option<u32> {
    let mut rest = blob.get(28..)?;
    loop {
        let (id, size) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
        let (value, tail) = rest.get(4..)?.split_at_checked(size.into())?;
        match id {
            0 => return Some(0),
            AV_FLAGS => return u32_at(value, 0),
            _ => rest = tail,
        }
    }
}

/// Returns the part of a message that the field at this place points to.
fn payload(message: &[u8], at: usize) -> Option<&[u8]> {
    let size = usize::from(u16_at(message, at)?);
    let begin = usize::try_from(u32_at(message, at.checked_add(4)?)?).ok()?;
    message.get(begin..begin.checked_add(size)?)
}

fn field(size: usize, at: u32) -> [u8; 8] {
    let [a, b] = u16::try_from(size).unwrap_or(u16::MAX).to_le_bytes();
    let [c, d, e, f] = at.to_le_bytes();
    [a, b, a, b, c, d, e, f]
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn from_utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| u16_at(pair, 0));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn hmac(key: &[u8; 16], parts: &[&[u8]]) -> Hmac<Md5> {
    let mut mac = Hmac::<Md5>::new(&hmac_key(key));
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// A key shorter than a block of the hash is filled up with zeros.
fn hmac_key(key: &[u8; 16]) -> hmac::digest::Key<Hmac<Md5>> {
    let mut block = hmac::digest::Key::<Hmac<Md5>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    block
}

fn digest(mac: Hmac<Md5>) -> [u8; 16] {
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
