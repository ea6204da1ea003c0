//! A QR code (ISO/IEC 18004) of what an authenticator is to read, as a PNG (RFC 2083) or as text for a terminal.
//!
//! The PNG is black and white and not compressed, so that a page of code makes it: a few kilobytes.

use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

/// Pixels of a module.
const SCALE: usize = 4;
/// Modules of the quiet zone on each side (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;
/// The most that a block of DEFLATE which is not compressed holds (RFC 1951, 3.2.4).
const STORED_MAX: usize = 65_535;

/// The text is longer than a QR code holds: ours, since what is shown is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is too long for a QR code")]
pub struct TooLongForQr;

/// A drawing of black and white modules with its quiet zone.
pub struct QrDrawing {
    code: QrCode,
    /// Modules of a side, the quiet zone included.
    side: usize,
}

impl std::fmt::Debug for QrDrawing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QrDrawing({} modules)", self.side)
    }
}

impl QrDrawing {
    /// Draws `text`.
    ///
    /// # Errors
    /// [`TooLongForQr`], from about 2,300 bytes on.
    pub fn of(text: &str) -> Result<Self, TooLongForQr> {
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).map_err(|_| TooLongForQr)?;
        let modules = usize::try_from(code.size()).map_err(|_| TooLongForQr)?;
        Ok(Self {
            code,
            side: modules.saturating_add(2 * QUIET),
        })
    }

    fn is_black(&self, x: usize, y: usize) -> bool {
        let module = |at: usize| at.checked_sub(QUIET).and_then(|at| i32::try_from(at).ok());
        match (module(x), module(y)) {
            // What is outside of the code is white.
            (Some(x), Some(y)) => self.code.get_module(x, y),
            _ => false,
        }
    }

    /// A PNG, four pixels a module, one bit a pixel.
    #[must_use]
    pub fn to_png(&self) -> Zeroizing<Vec<u8>> {
        let pixels = self.side.saturating_mul(SCALE);
        let bytes_of_a_row = pixels.div_ceil(8).saturating_add(1);
        let mut rows = Zeroizing::new(Vec::with_capacity(bytes_of_a_row.saturating_mul(pixels)));
        for y in 0..pixels {
            rows.push(0); // no filter
            for byte in 0..pixels.div_ceil(8) {
                let bits = (0..8).fold(0_u8, |bits, bit| {
                    let x = byte * 8 + bit;
                    // A set bit is white.
                    let white = x < pixels && !self.is_black(x / SCALE, y / SCALE);
                    bits << 1 | u8::from(white)
                });
                rows.push(bits);
            }
        }
        let side = u32::try_from(pixels).unwrap_or(u32::MAX).to_be_bytes();
        // Width, height, one bit, grey, and the only ways there are to compress, filter and interlace.
        let header = [side.as_slice(), &side, &[1, 0, 0, 0, 0]].concat();
        let mut png = Zeroizing::new(Vec::with_capacity(rows.len().saturating_add(1_024)));
        png.extend_from_slice(b"\x89PNG\r\n\x1a\n");
        chunk(&mut png, b"IHDR", &header);
        chunk(&mut png, b"IDAT", &stored(&rows));
        chunk(&mut png, b"IEND", &[]);
        png
    }

    /// Lines for a terminal, two modules of the height a character: dark is drawn as blank, since terminals are mostly dark.
    #[must_use]
    pub fn to_half_blocks(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.side * self.side * 2));
        for y in (0..self.side).step_by(2) {
            for x in 0..self.side {
                text.push(match (self.is_black(x, y), self.is_black(x, y + 1)) {
                    (false, false) => '█',
                    (false, true) => '▀',
                    (true, false) => '▄',
                    (true, true) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }
}

/// A chunk: length, kind, data, CRC-32 of kind and data (RFC 2083, 3.2).
fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    png.extend_from_slice(kind);
    png.extend_from_slice(data);
    let crc = kind.iter().chain(data).fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    });
    png.extend_from_slice(&(!crc).to_be_bytes());
}

/// The zlib form (RFC 1950) of bytes that are not compressed.
fn stored(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut zlib = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(64)));
    zlib.extend_from_slice(&[0x78, 0x01]);
    let mut blocks = bytes.chunks(STORED_MAX).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        zlib.push(u8::from(blocks.peek().is_none()));
        zlib.extend_from_slice(&length.to_le_bytes());
        zlib.extend_from_slice(&(!length).to_le_bytes());
        zlib.extend_from_slice(block);
    }
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    zlib.extend_from_slice(&(high << 16 | low).to_be_bytes());
    zlib
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        let mut png = Vec::new();
        chunk(&mut png, b"IEND", &[]);
        // The last chunk of every PNG.
        assert_eq!(png, b"\0\0\0\0IEND\xAE\x42\x60\x82");
        let zlib = stored(b"Wikipedia");
        assert_eq!(zlib[zlib.len() - 4..], 0x11E6_0398_u32.to_be_bytes());
        let large = stored(&vec![7; 70_000]);
        assert_eq!(large.len(), 2 + 5 + 65_535 + 5 + 4_465 + 4);
    }

    #[test]
    fn a_drawing_has_its_quiet_zone_and_its_corners() {
        let drawing = QrDrawing::of("otpauth://totp/x").unwrap();
        assert!(!drawing.is_black(QUIET - 1, QUIET) && drawing.is_black(QUIET, QUIET));
        assert!(!drawing.is_black(drawing.side - 1, drawing.side - 1));
        let png = drawing.to_png();
        let side = (drawing.side * SCALE) as u32;
        assert_eq!(png[16..20], side.to_be_bytes());
        assert!(png.len() < 20_000);
        let text = drawing.to_half_blocks();
        assert_eq!(text.lines().count(), drawing.side.div_ceil(2));
        assert!(
            text.lines()
                .all(|line| line.chars().count() == drawing.side)
        );
        assert_eq!(QrDrawing::of(&"x".repeat(5_000)).unwrap_err(), TooLongForQr);
    }
}
