//! Drawings as markup: what runs, what calls out, and what hides.

use super::{Finding, Rule};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

/// Pictures inside a drawing, bytes as written; more could hold rows.
const MOST_EMBEDDED: usize = 64 << 10;
/// Comments and descriptions that nobody sees, bytes.
const MOST_UNSEEN: usize = 4 << 10;
/// Elements that run, load or show something else than a drawing.
const FORBIDDEN: [&str; 9] =
    ["script", "foreignobject", "iframe", "embed", "object", "audio", "video", "handler", "listener"];
/// Elements that change what is drawn while it is looked at: also what another one refers to. All others begin with `animate`.
const MOVING: [&str; 3] = ["set", "discard", "mpath"];

/// Whether the text's first element is a drawing.
pub(in crate::airlock) fn is_svg(text: &str) -> bool {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => return local(&element) == "svg",
            Ok(Event::Eof) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

fn local(element: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(element.local_name().as_ref()).to_ascii_lowercase()
}

/// Everything that may not be in a drawing.
pub(super) fn check(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut no = |message: String| found.push(Finding::refuse(Rule::Svg, message));
    let mut reader = Reader::from_str(text);
    let (mut embedded, mut unseen, mut depth, mut hidden, mut styled) = (0, 0, 0_usize, None, false);
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(_) => {
                no("is no well-formed XML".to_owned());
                break;
            }
        };
        match event {
            Event::Start(element) => {
                depth += 1;
                if local(&element) == "metadata" {
                    hidden.get_or_insert(depth);
                }
                styled = local(&element) == "style";
                inspect(&element, &mut embedded, &mut no);
            }
            Event::Empty(element) => inspect(&element, &mut embedded, &mut no),
            Event::End(_) => {
                if hidden == Some(depth) {
                    hidden = None;
                }
                styled = false;
                depth = depth.saturating_sub(1);
            }
            Event::Text(text) => {
                if hidden.is_some() {
                    unseen += text.len();
                }
                if styled {
                    style(&String::from_utf8_lossy(&text), &mut no);
                }
            }
            Event::CData(text) => {
                if hidden.is_some() {
                    unseen += text.len();
                }
                style(&String::from_utf8_lossy(&text), &mut no);
            }
            Event::Comment(text) => unseen += text.len(),
            Event::DocType(text) if text.contains(&b'[') => no("declares entities of its own".to_owned()),
            Event::PI(_) => no("has a processing instruction, which may load a style from elsewhere".to_owned()),
            Event::Eof => {
                if depth > 0 {
                    no("breaks off".to_owned());
                }
                break;
            }
            Event::DocType(_) | Event::Decl(_) | Event::GeneralRef(_) => {}
        }
    }
    if embedded > MOST_EMBEDDED {
        no(format!("has {embedded} bytes of pictures inside; {MOST_EMBEDDED} may leave"));
    }
    if unseen > MOST_UNSEEN {
        no(format!("has {unseen} bytes of comments and descriptions that nobody sees; {MOST_UNSEEN} may leave"));
    }
    found
}

fn inspect(element: &BytesStart<'_>, embedded: &mut usize, no: &mut impl FnMut(String)) {
    let name = local(element);
    if FORBIDDEN.contains(&name.as_str()) {
        no(format!("has an element '{name}'; a drawing is shapes and text"));
    }
    if MOVING.contains(&name.as_str()) || name.starts_with("animate") {
        no(format!("has an element '{name}'; a drawing stands still"));
    }
    for attribute in element.attributes() {
        let Ok(attribute) = attribute else {
            no("has an attribute that can't be read".to_owned());
            continue;
        };
        let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).to_ascii_lowercase();
        let Ok(value) = attribute.unescape_value() else {
            no(format!("has an attribute '{key}' that can't be read"));
            continue;
        };
        // Browsers pass over blanks inside a scheme.
        let tight: String = value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        let tight = tight.to_ascii_lowercase();
        if key.starts_with("on") {
            no(format!("runs something ('{key}')"));
        }
        if tight.contains("javascript:") {
            no(format!("runs something (in '{key}')"));
        }
        if ["href", "src", "data"].contains(&key.as_str()) && !tight.starts_with('#') {
            if ["data:image/png;base64,", "data:image/jpeg;base64,"].iter().any(|begin| tight.starts_with(begin)) {
                *embedded += tight.len();
            } else {
                no(format!("refers to something outside itself (in '{key}')"));
            }
        } else {
            style(&value, no);
        }
    }
}

/// `url(..)` of anything but a part of the drawing, and imported styles.
fn style(text: &str, no: &mut impl FnMut(String)) {
    let tight: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let outside = tight.split("url(").skip(1).any(|rest| !rest.trim_start_matches(['"', '\'']).starts_with('#'));
    // A backslash spells letters of a style in other ways.
    if outside || tight.contains("@import") || (tight.contains('\\') && tight.contains('(')) {
        no("refers to something outside itself (in a style)".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(body: &str) -> Vec<String> {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">{body}</svg>"
        );
        assert!(is_svg(&text));
        check(&text).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn shapes_and_text_pass() {
        let plain = "<!-- drawn --><defs><path id=\"m\" d=\"M0 0\"/><clipPath id=\"c\"/></defs><style>*{fill:none}</style>\
                     <use xlink:href=\"#m\" clip-path=\"url(#c)\" style=\"fill: url( '#m' )\"/><text>n = 12</text>";
        assert_eq!(messages(plain), Vec::<String>::new());
        let document = "<?xml version=\"1.0\"?><!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://x\"><svg/>";
        assert!(is_svg(document) && check(document).is_empty());
    }

    #[test]
    fn attack_what_runs_calls_out_or_hides_is_found() {
        for bad in [
            "<script>1</script>",
            "<SCRIPT/>",
            "<s:script xmlns:s=\"http://www.w3.org/2000/svg\"/>",
            "<g onload=\"x()\"/>",
            "<a href=\"java\nscript:x()\"/>",
            "<a href=\"&#106;avascript:x()\"/>",
            "<image href=\"https://example.org/a.png\"/>",
            "<image xlink:href=\"//example.org/a.png\"/>",
            "<image href=\"data:image/svg+xml;base64,AAAA\"/>",
            "<image href=\"data:text/html,x\"/>",
            "<use href=\"other.svg#m\"/>",
            "<g style=\"fill:url(https://example.org/x)\"/>",
            "<style>@import 'https://example.org/x.css';</style>",
            "<style><![CDATA[g{fill:url(//example.org)}]]></style>",
            "<style>g{fill:\\75rl(//example.org)}</style>",
            "<foreignObject><p>rows</p></foreignObject>",
            "<set attributeName=\"href\" to=\"javascript:x()\"/>",
            "<?xml-stylesheet href=\"x.css\"?>",
            "<g><b></g>",
            "<g>",
        ] {
            assert!(!messages(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn attack_a_drawing_that_changes_what_it_refers_to_is_found() {
        for bad in [
            "<image><animate attributeName=\"href\" to=\"https://example.org/a.png\"/></image>",
            "<image><animate attributeName=\"href\" values=\"#a;https://example.org/a.png\"></animate></image>",
            "<image><s:Animate xmlns:s=\"http://www.w3.org/2000/svg\" attributeName=\"href\" to=\"//example.org\"/></image>",
            "<a><set attributeName=\"href\" to=\"https://example.org\"/></a>",
            "<g><animateTransform attributeName=\"transform\" to=\"1\"/></g>",
            "<g><animateMotion path=\"M0 0\"><mpath href=\"#m\"/></animateMotion></g>",
            "<g><animateColor attributeName=\"fill\" to=\"red\"/></g>",
            "<g><discard begin=\"2s\"/></g>",
        ] {
            let found = messages(bad);
            assert!(!found.is_empty() && found.iter().all(|of| of.contains("stands still")), "{bad}: {found:?}");
        }
    }

    #[test]
    fn attack_what_nobody_sees_of_a_drawing_is_found() {
        assert!(!messages(&format!("<!--{}-->", "x".repeat(MOST_UNSEEN + 1))).is_empty());
        assert!(!messages(&format!("<metadata><a>{}</a></metadata>", "x".repeat(MOST_UNSEEN + 1))).is_empty());
        let large = format!("<image href=\"data:image/png;base64,{}\"/>", "A".repeat(MOST_EMBEDDED));
        assert!(!messages(&large).is_empty());
        assert!(!check("<!DOCTYPE svg [<!ENTITY x \"y\">]><svg>&x;</svg>").is_empty());
    }
}
