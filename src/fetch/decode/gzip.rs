//! gzip (RFC 1952): members, each a header, a deflate stream and a checksum.

use flate2::{Crc, Decompress};

use super::codec::{Broken, Step, inflate};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
/// An empty member has 20 bytes and costs 6 us, as much as 4 KiB of text. Real files have one, or
/// one for every 64 KiB.
const MAX_MEMBERS: u32 = 10_000;
const TRAILER_BYTES: u8 = 8;

/// A decoder of one member after another.
///
/// What follows a whole member and does not begin another is padding, and is dropped as browsers and
/// gzip itself do.
pub(super) struct Gzip {
    part: Part,
    inflater: Decompress,
    checksum: Crc,
    /// How many members were whole.
    members: u32,
}

/// Where in a member the next byte belongs.
#[derive(Clone, Copy)]
enum Part {
    /// The byte at this place of the fixed header; flags as known.
    Fixed {
        at: u8,
        flags: u8,
    },
    /// The length of the extra field, low byte first.
    ExtraLength {
        low: Option<u8>,
        flags: u8,
    },
    /// Bytes of the extra field left.
    Extra {
        left: u16,
        flags: u8,
    },
    /// A name or a comment, up to its zero byte.
    Text {
        flags: u8,
    },
    /// Bytes of the header's checksum left.
    HeaderChecksum {
        left: u8,
    },
    Deflate,
    /// The byte at this place of checksum and length.
    Trailer {
        at: u8,
    },
    /// After the last member.
    Padding,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            part: Part::START,
            inflater: Decompress::new(false),
            checksum: Crc::new(),
            members: 0,
        }
    }
}

impl Part {
    const START: Self = Self::Fixed { at: 0, flags: 0 };

    /// The first optional part of the header that `flags` still name.
    fn after_fixed(flags: u8) -> Self {
        if flags & HAS_EXTRA != 0 {
            Self::ExtraLength { low: None, flags }
        } else if flags & (HAS_NAME | HAS_COMMENT) != 0 {
            Self::Text { flags }
        } else if flags & HAS_CHECKSUM != 0 {
            Self::HeaderChecksum { left: 2 }
        } else {
            Self::Deflate
        }
    }
}

impl Gzip {
    /// Whether the body may end here: behind a member, or in padding.
    pub(super) fn is_complete(&self) -> bool {
        self.members > 0 && matches!(self.part, Part::Padding | Part::Fixed { at: 0 | 1, .. })
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        match (self.part, input.split_first()) {
            (Part::Deflate, _) => {
                let (step, ended) = inflate(&mut self.inflater, input, output)?;
                self.checksum
                    .update(output.get(..step.wrote).unwrap_or_default());
                if ended {
                    self.part = Part::Trailer { at: 0 };
                }
                Ok(step)
            }
            (Part::Padding, _) => Ok(Step {
                read: input.len(),
                wrote: 0,
            }),
            (_, None) => Ok(Step::default()),
            (part, Some((byte, _))) => {
                self.part = self.after(part, *byte)?;
                Ok(Step { read: 1, wrote: 0 })
            }
        }
    }

    /// The part that follows once `byte` was taken by `part`.
    fn after(&mut self, part: Part, byte: u8) -> Result<Part, Broken> {
        Ok(match part {
            Part::Fixed { at, flags } => self.after_fixed(at, flags, byte)?,
            Part::ExtraLength { low: None, flags } => Part::ExtraLength {
                low: Some(byte),
                flags,
            },
            Part::ExtraLength {
                low: Some(low),
                flags,
            } => match u16::from_le_bytes([low, byte]) {
                0 => Part::after_fixed(flags & !HAS_EXTRA),
                left => Part::Extra { left, flags },
            },
            Part::Extra { left: 1, flags } => Part::after_fixed(flags & !HAS_EXTRA),
            Part::Extra { left, flags } => Part::Extra {
                left: left - 1,
                flags,
            },
            Part::Text { flags } if byte != 0 => Part::Text { flags },
            Part::Text { flags } if flags & HAS_NAME != 0 => Part::after_fixed(flags & !HAS_NAME),
            Part::Text { flags } => Part::after_fixed(flags & !HAS_COMMENT),
            Part::HeaderChecksum { left: 1 } => Part::Deflate,
            Part::HeaderChecksum { left } => Part::HeaderChecksum { left: left - 1 },
            Part::Trailer { at } => self.after_trailer(at, byte)?,
            Part::Deflate | Part::Padding => part,
        })
    }

    fn after_fixed(&mut self, at: u8, flags: u8, byte: u8) -> Result<Part, Broken> {
        match at {
            0 | 1 if byte != MAGIC[usize::from(at)] => {
                if self.members > 0 {
                    Ok(Part::Padding)
                } else {
                    Err(Broken::default())
                }
            }
            2 if byte != 8 => Err(Broken::default()),
            3 if byte & RESERVED != 0 => Err(Broken::default()),
            3 => Ok(Part::Fixed { at: 4, flags: byte }),
            9 => Ok(Part::after_fixed(flags)),
            _ => Ok(Part::Fixed { at: at + 1, flags }),
        }
    }

    /// Compares checksum and length, byte by byte, and begins anew behind them.
    fn after_trailer(&mut self, at: u8, byte: u8) -> Result<Part, Broken> {
        let sum = self.checksum.sum().to_le_bytes();
        let length = self.checksum.amount().to_le_bytes();
        let expected = sum.into_iter().chain(length).nth(usize::from(at));
        if expected != Some(byte) {
            return Err(Broken::default());
        }
        if at + 1 < TRAILER_BYTES {
            return Ok(Part::Trailer { at: at + 1 });
        }
        self.inflater.reset(false);
        self.checksum.reset();
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(Broken::default());
        }
        Ok(Part::START)
    }
}
