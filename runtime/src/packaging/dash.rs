//! The manifest of MPEG-DASH (ISO/IEC 23009-1) over the same CMAF segments. Pure.

use std::fmt::Write as _;

use super::hls::{Picture, Presentation, Sound, VideoRange};
use super::rates;
use super::segments::{HEADER, Written};

/// The manifest. `duration` is that of the whole, in seconds.
pub fn manifest(all: &Presentation, duration: f64) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" \
         type=\"static\" mediaPresentationDuration=\"PT{duration:.6}S\" minBufferTime=\"PT{}S\" \
         maxSegmentDuration=\"PT{}S\">\n  <Period id=\"0\" start=\"PT0S\">\n",
        all.target,
        all.target + 1
    );
    // Players switch within a set, and only between pictures that a decoder takes alike.
    for (index, group) in groups(&all.pictures).into_iter().enumerate() {
        pictures(&mut text, all, index, &group);
    }
    for (index, sound) in all.sounds.iter().enumerate() {
        text += &sound_set(all, index + all.pictures.len(), sound);
    }
    text + "  </Period>\n</MPD>\n"
}

/// Pictures by codec and range, in their order.
fn groups(pictures: &[Picture]) -> Vec<Vec<&Picture>> {
    let mut groups: Vec<Vec<&Picture>> = Vec::new();
    for picture in pictures {
        let alike = |group: &&mut Vec<&Picture>| {
            group.first().is_some_and(|first| family(first) == family(picture))
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(picture),
            None => groups.push(vec![picture]),
        }
    }
    groups
}

fn family(picture: &Picture) -> (&str, VideoRange) {
    (picture.written.codec.split('.').next().unwrap_or_default(), picture.range)
}

fn pictures(text: &mut String, all: &Presentation, index: usize, group: &[&Picture]) {
    writeln!(
        text,
        "    <AdaptationSet id=\"{index}\" contentType=\"video\" mimeType=\"video/mp4\" \
         segmentAlignment=\"true\" startWithSAP=\"1\">"
    )
    .expect("memory takes text");
    for picture in group {
        let (width, height) = picture.size;
        writeln!(
            text,
            "      <Representation id=\"{}\" codecs=\"{}\" width=\"{width}\" height=\"{height}\" \
             frameRate=\"{}\" sar=\"1:1\" bandwidth=\"{}\">",
            escape(&picture.folder),
            picture.written.codec,
            picture.frame_rate(),
            rates::peak(&picture.written.pieces(), f64::from(all.target)),
        )
        .expect("memory takes text");
        *text += &template(&picture.folder, &picture.written);
        *text += "      </Representation>\n";
    }
    *text += "    </AdaptationSet>\n";
}

fn sound_set(all: &Presentation, index: usize, sound: &Sound) -> String {
    let language = sound.language.as_deref().map(escape);
    let language = language.map(|code| format!(" lang=\"{code}\"")).unwrap_or_default();
    let role = if sound.default { "main" } else { "alternate" };
    let (written, folder) = (&sound.written, escape(&sound.folder));
    format!(
        "    <AdaptationSet id=\"{index}\" contentType=\"audio\" mimeType=\"audio/mp4\"{language} \
         segmentAlignment=\"true\" startWithSAP=\"1\">\n\
         \x20     <Label>{}</Label>\n\
         \x20     <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{role}\"/>\n\
         \x20     <Representation id=\"{folder}\" codecs=\"{}\" audioSamplingRate=\"{}\" bandwidth=\"{}\">\n\
         \x20       <AudioChannelConfiguration \
         schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"{}\"/>\n\
         {}      </Representation>\n    </AdaptationSet>\n",
        escape(&sound.name),
        written.codec,
        written.timescale,
        rates::peak(&written.pieces(), f64::from(all.target)),
        sound.channels,
        template(&sound.folder, written),
    )
}

/// Where the segments of a rendition are, and how long each one takes.
fn template(folder: &str, written: &Written) -> String {
    let folder = escape(folder);
    let mut text = format!(
        "        <SegmentTemplate timescale=\"{}\" initialization=\"{folder}/{HEADER}\" \
         media=\"{folder}/segment_$Number%05d$.m4s\" startNumber=\"1\">\n          <SegmentTimeline>\n",
        written.timescale
    );
    let mut rest = &written.segments[..];
    while let Some(first) = rest.first() {
        let alike = rest.iter().take_while(|segment| segment.length == first.length).count();
        let repeat = if alike > 1 { format!(" r=\"{}\"", alike - 1) } else { String::new() };
        writeln!(text, "            <S t=\"{}\" d=\"{}\"{repeat}/>", first.start, first.length)
            .expect("memory takes text");
        rest = &rest[alike..];
    }
    text + "          </SegmentTimeline>\n        </SegmentTemplate>\n"
}

/// Text as XML takes it, in content and in quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(escape("a\"<b>&\n"), "a&quot;&lt;b&gt;&amp;");
    }
}
