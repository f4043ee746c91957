//! A QR picture of the command to type on the new machine. The code is not in it: it is for eyes, not for photographs that are
//! kept.

use console::Term;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use crate::cli::terminal::{self, Shows};

/// Lines around the picture that are to be seen with it.
const BESIDE: usize = 5;

/// The picture, if standard error is a screen that has room for it.
pub(super) fn of_command(host: &str) -> Option<String> {
    if terminal::shows() == Shows::Lines {
        return None;
    }
    let term = Term::stderr();
    let (rows, columns) = term.size();
    let picture = draw(host)?;
    let width = picture.lines().map(|line| line.chars().count()).max()?;
    let fits = width < usize::from(columns) && picture.lines().count() + BESIDE < usize::from(rows);
    fits.then_some(picture)
}

fn draw(host: &str) -> Option<String> {
    let code = encode(&format!("colis pair {host}"))?;
    // Light modules are drawn: most terminals are dark.
    let mut renderer = code.render::<Dense1x2>();
    let renderer = renderer
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark);
    Some(renderer.build())
}

/// The smallest: a screen is not a scratched label.
fn encode(text: &str) -> Option<QrCode> {
    QrCode::with_error_correction_level(text, EcLevel::L).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_modules_of_the_command_and_a_quiet_zone() {
        let picture = draw("192.0.2.7").unwrap();
        let code = encode("colis pair 192.0.2.7").unwrap();
        let modules = code.width();
        let rows: Vec<Vec<char>> = picture.lines().map(|line| line.chars().collect()).collect();
        assert_eq!(rows[0].len(), modules + 8);
        let is_dark = |x: usize, y: usize| {
            let cell = rows[(y + 4) / 2][x + 4];
            let lit = if (y + 4).is_multiple_of(2) {
                ['\u{2588}', '\u{2580}']
            } else {
                ['\u{2588}', '\u{2584}']
            };
            !lit.contains(&cell)
        };
        for y in 0..modules {
            for x in 0..modules {
                assert_eq!(
                    is_dark(x, y),
                    code[(x, y)] == qrcode::Color::Dark,
                    "{x} {y}"
                );
            }
        }
    }
}
