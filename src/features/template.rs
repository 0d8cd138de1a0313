//! What an asset type calls a template, as the expert bank knows it: neither room knows the other.

use crate::asset;
use crate::expert::template::Template;

impl From<asset::Template> for Template {
    fn from(named: asset::Template) -> Self {
        match named {
            asset::Template::Tank1 => Self::Tank1,
            asset::Template::Tanks2 => Self::Tanks2,
            asset::Template::Tanks3 => Self::Tanks3,
            asset::Template::Zone2r2c => Self::Zone2r2c,
            asset::Template::FirstOrderDeadTime => Self::FirstOrderDeadTime,
            asset::Template::SecondOrder => Self::SecondOrder,
            asset::Template::DcMotor => Self::DcMotor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_one_name_in_both_rooms() {
        for template in Template::ALL {
            let text = serde_json::to_string(template.name()).expect("a name is text");
            let named: asset::Template = serde_json::from_str(&text).expect("types can name every template");
            assert_eq!(Template::from(named), template);
        }
    }
}
