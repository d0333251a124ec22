//! Filters that join and split streams, as data: ffmpeg's `-filter_complex`. Pure.

use std::fmt::{self, Write as _};

use super::filter::{Chain, Filter};
use super::job::Source;

/// Chains between pads. Every link that a chain makes is to be used exactly once, by another chain
/// or by an output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    links: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    from: Vec<Pad>,
    chain: Chain,
    to: Vec<Link>,
}

/// Where a chain takes frames from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pad {
    /// A stream of an input.
    Stream(Source),
    /// What another chain made.
    Link(Link),
}

/// What a chain made, by its number in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u32);

impl Graph {
    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a chain that takes from `from`, and returns what it makes.
    pub fn chain(&mut self, from: &[Pad], chain: Chain) -> Link {
        self.node(from, chain, 1).pop().expect("one link was asked for")
    }

    /// The same video `into` times. It is copied by reference, not by pixel.
    pub fn split(&mut self, from: Pad, into: u32) -> Vec<Link> {
        self.node(&[from], Chain(vec![Filter::Split(into)]), into)
    }

    /// The same audio `into` times.
    pub fn split_audio(&mut self, from: Pad, into: u32) -> Vec<Link> {
        self.node(&[from], Chain(vec![Filter::SplitAudio(into)]), into)
    }

    /// Adds a chain whose last filter has `outputs` outputs.
    pub fn node(&mut self, from: &[Pad], chain: Chain, outputs: u32) -> Vec<Link> {
        let to: Vec<_> = (self.links..self.links + outputs).map(Link).collect();
        self.links += outputs;
        self.nodes.push(Node { from: from.to_vec(), chain, to: to.clone() });
        to
    }
}

impl From<Link> for Pad {
    fn from(link: Link) -> Self {
        Pad::Link(link)
    }
}

impl From<Source> for Pad {
    fn from(source: Source) -> Self {
        Pad::Stream(source)
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            if index > 0 {
                f.write_char(';')?;
            }
            node.from.iter().try_for_each(|pad| pad.fmt(f))?;
            if node.chain.is_empty() {
                // ffmpeg wants a filter in every chain. Sound never goes through an empty one.
                f.write_str("null")?;
            }
            node.chain.fmt(f)?;
            node.to.iter().try_for_each(|link| link.fmt(f))?;
        }
        Ok(())
    }
}

impl fmt::Display for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pad::Stream(Source { input, stream }) => write!(f, "[{input}:{stream}]"),
            Pad::Link(link) => link.fmt(f),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[l{}]", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_joined_by_their_links() {
        let scale = |size| Chain(vec![Filter::Scale { size, to_video_range: false, matrix: None }]);
        let mut graph = Graph::default();
        let first = graph.chain(&[Source::default().into()], Chain(vec![Filter::Deinterlace]));
        for (link, size) in graph.split(first.into(), 2).into_iter().zip([(640, 360), (320, 180)]) {
            graph.chain(&[link.into()], scale(size));
        }
        insta::assert_snapshot!(graph, @"[0:0]bwdif=mode=send_frame:deint=interlaced[l0];[l0]split=outputs=2[l1][l2];[l1]scale=w=640:h=360[l3];[l2]scale=w=320:h=180[l4]");
    }
}
