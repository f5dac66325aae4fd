//! The fields of a message as they are written: number, wire type, and what stands there.

/// Largest field number.
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Its number, from 1.
    pub(super) number: u32,
    /// What stands there.
    pub(super) wire: Wire<'a>,
}

/// What stands for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// So many bytes as a length before them says.
    Bytes(&'a [u8]),
    /// What stands between the two ends of a group.
    Group(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The fields of a message in order; `None` where the bytes are none. Groups may be `depth_max` deep in one another.
pub(super) fn fields(bytes: &[u8], depth_max: usize) -> Option<Vec<Field<'_>>> {
    let (mut fields, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        match step(&mut rest, depth_max)? {
            Step::Field(field) => fields.push(field),
            Step::EndOf(_) => return None,
        }
    }
    Some(fields)
}

enum Step<'a> {
    Field(Field<'a>),
    /// The end of the group of this number.
    EndOf(u32),
}

/// Takes one field off the front.
fn step<'a>(rest: &mut &'a [u8], depth_left: usize) -> Option<Step<'a>> {
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).ok().filter(|it| (1..=NUMBER_MAX).contains(&u64::from(*it)))?;
    let wire = match key & 7 {
        0 => Wire::Varint(varint(rest)?),
        1 => Wire::Fixed64(u64::from_le_bytes(taken(rest, 8)?.try_into().ok()?)),
        2 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Wire::Bytes(taken(rest, len)?)
        }
        3 => Wire::Group(group(rest, number, depth_left.checked_sub(1)?)?),
        4 => return Some(Step::EndOf(number)),
        5 => Wire::Fixed32(u32::from_le_bytes(taken(rest, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some(Step::Field(Field { number, wire }))
}

/// Takes a group off the front, up to the end that has its number.
fn group<'a>(rest: &mut &'a [u8], number: u32, depth_left: usize) -> Option<&'a [u8]> {
    let whole = *rest;
    loop {
        let len = whole.len() - rest.len();
        match step(rest, depth_left)? {
            Step::Field(_) => {}
            Step::EndOf(found) => return (found == number).then_some(&whole[..len]),
        }
    }
}

fn taken<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(taken)
}

/// Seven bits a byte, the lowest first; at most ten bytes, bits above the 64th left out, as every reader does.
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
