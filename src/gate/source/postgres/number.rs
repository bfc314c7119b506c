//! The one number in a row, of whichever of PostgreSQL's types it is. A truth is a number, too: true is 1.

use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

use super::Trouble;

/// The number in `row`, which must have one column. What is no finite number is none: no bound can be compared with it.
pub(super) fn of(row: &Row) -> Result<f64, Trouble> {
    let [column] = row.columns() else { return Err(Trouble::no_number(format!("{} columns", row.columns().len()))) };
    let number = match *column.type_() {
        Type::INT8 => get::<i64>(row).map(|number| number.map(|number| number as f64)),
        Type::INT4 => get::<i32>(row).map(|number| number.map(f64::from)),
        Type::INT2 => get::<i16>(row).map(|number| number.map(f64::from)),
        Type::FLOAT8 => get::<f64>(row),
        Type::FLOAT4 => get::<f32>(row).map(|number| number.map(f64::from)),
        Type::NUMERIC => get::<Numeric>(row).map(|number| number.map(|Numeric(number)| number)),
        Type::BOOL => get::<bool>(row).map(|truth| truth.map(|truth| f64::from(u8::from(truth)))),
        ref other => Err(Trouble::no_number(format!("a {}: count it, or cast it to a number", other.name()))),
    };
    match number? {
        Some(number) if number.is_finite() => Ok(number),
        Some(_) => Err(Trouble::no_number("a number that is not finite")),
        None => Err(Trouble::no_number("null")),
    }
}

fn get<'a, T: FromSql<'a>>(row: &'a Row) -> Result<Option<T>, Trouble> {
    row.try_get::<_, Option<T>>(0).map_err(|_| Trouble::no_number("something that cannot be read"))
}

/// A `numeric`: what `sum` and `avg` of whole numbers yield.
struct Numeric(f64);

impl<'a> FromSql<'a> for Numeric {
    /// The binary form (PostgreSQL, src/backend/utils/adt/numeric.c, `numeric_send`): the count of digits, the first digit's power of ten
    /// thousand, the sign, the decimals to show, then the digits, base ten thousand.
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let words: Vec<u16> = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let [_, weight, sign, _, digits @ ..] = words.as_slice() else { return Err("a numeric that is too short".into()) };
        let sign = match sign {
            0x0000 => "",
            0x4000 => "-",
            _ => return Ok(Self(f64::NAN)),
        };
        let weight = i64::from(i16::from_be_bytes(weight.to_be_bytes()));
        let count = i64::try_from(digits.len())?;
        // As text, which is rounded once and rightly.
        let digits: String = digits.iter().map(|digit| format!("{digit:04}")).collect();
        Ok(Self(format!("{sign}0{digits}e{}", 4 * (weight + 1 - count)).parse()?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(words: &[u16]) -> f64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Numeric::from_sql(&Type::NUMERIC, &bytes).expect("a numeric").0
    }

    #[test]
    fn a_numeric_is_read_from_its_digits() {
        assert_eq!(numeric(&[0, 0, 0, 0]), 0.0);
        assert_eq!(numeric(&[2, 1, 0, 0, 12, 3456]), 123_456.0);
        assert_eq!(numeric(&[2, 0, 0x4000, 2, 1, 2500]), -1.25);
        assert_eq!(numeric(&[1, u16::MAX, 0, 4, 42]), 0.0042);
        assert!(numeric(&[0, 0, 0xC000, 0]).is_nan() && numeric(&[0, 0, 0xD000, 0]).is_nan());
        assert!(Numeric::from_sql(&Type::NUMERIC, &[0, 1]).is_err());
    }
}
