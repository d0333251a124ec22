//! Formats of files that are written. Pure.

/// Formats of files that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.mp4`, `.m4v`
    Mp4,
    /// `.mov`
    Mov,
    /// `.mkv`
    Matroska,
    /// `.webm`
    WebM,
    /// `.vtt`: subtitles alone.
    WebVtt,
    /// A file without a picture.
    Sound(SoundFile),
    /// Nothing is written: a run that only measures.
    Null,
}

/// Formats of files that hold sound alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundFile {
    /// `.m4a`
    M4a,
    /// `.aac`, without an index
    Adts,
    /// `.mp3`
    Mp3,
    /// `.opus`, `.ogg`
    Ogg,
    /// `.flac`
    Flac,
    /// `.wav`
    Wav,
}

impl Container {
    /// The container that a file name asks for.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Some(Container::Mp4),
            "mov" => Some(Container::Mov),
            "mkv" => Some(Container::Matroska),
            "webm" => Some(Container::WebM),
            _ => None,
        }
    }

    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Matroska => "matroska",
            Container::WebM => "webm",
            Container::WebVtt => "webvtt",
            Container::Sound(file) => file.name(),
            Container::Null => "null",
        }
    }

    /// The usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Matroska => "mkv",
            Container::WebM => "webm",
            Container::WebVtt => "vtt",
            Container::Sound(file) => file.extension(),
            Container::Null => "",
        }
    }

    /// It is of the MP4 family.
    pub fn is_mp4(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }
}

impl SoundFile {
    /// The format that a file name asks for.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "m4a" => Some(SoundFile::M4a),
            "aac" => Some(SoundFile::Adts),
            "mp3" => Some(SoundFile::Mp3),
            "opus" | "ogg" => Some(SoundFile::Ogg),
            "flac" => Some(SoundFile::Flac),
            "wav" => Some(SoundFile::Wav),
            _ => None,
        }
    }

    /// ffmpeg's name.
    pub fn name(self) -> &'static str {
        match self {
            SoundFile::M4a => "ipod",
            SoundFile::Adts => "adts",
            SoundFile::Mp3 => "mp3",
            SoundFile::Ogg => "ogg",
            SoundFile::Flac => "flac",
            SoundFile::Wav => "wav",
        }
    }

    /// The usual extension.
    pub fn extension(self) -> &'static str {
        match self {
            SoundFile::M4a => "m4a",
            SoundFile::Adts => "aac",
            SoundFile::Mp3 => "mp3",
            SoundFile::Ogg => "opus",
            SoundFile::Flac => "flac",
            SoundFile::Wav => "wav",
        }
    }

    /// What is heard is exactly what was encoded.
    pub fn is_lossless(self) -> bool {
        matches!(self, SoundFile::Flac | SoundFile::Wav)
    }
}
