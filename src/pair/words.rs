//! The words of pairing codes: 256 of them, so that a word is 8 bits. Short, known to many, and no two of them differ in one
//! letter only.

/// In alphabetical order.
pub(super) const WORDS: [&str; 256] = [
    "acorn", "agate", "alpine", "amber", "anchor", "antler", "apple", "apron", "arrow", "aspen",
    "atlas", "attic", "autumn", "badger", "bagel", "bamboo", "banjo", "barley", "basalt", "basket",
    "beacon", "beaver", "biscuit", "bison", "blanket", "blossom", "bonsai", "bottle", "bramble",
    "bridge", "bronze", "bucket", "buffalo", "burrow", "butter", "cabin", "cactus", "camel",
    "canary", "candle", "canyon", "carbon", "cargo", "carpet", "castor", "cedar", "cello",
    "cherry", "chimney", "cider", "citrus", "clover", "cobalt", "cobra", "comet", "compass",
    "copper", "coral", "cotton", "cradle", "crater", "cricket", "crystal", "cypress", "dahlia",
    "daisy", "dancer", "desert", "dolphin", "donkey", "dragon", "drummer", "dynamo", "eagle",
    "easel", "eclipse", "emerald", "engine", "falcon", "feather", "fennel", "ferry", "fiddle",
    "flannel", "flute", "forest", "fossil", "galaxy", "garden", "garlic", "gazelle", "geyser",
    "ginger", "giraffe", "glacier", "goblet", "gondola", "granite", "grape", "gravel", "guitar",
    "hammer", "hamster", "harbor", "harvest", "hazel", "helmet", "heron", "hickory", "honey",
    "horizon", "hornet", "iceberg", "igloo", "indigo", "island", "ivory", "jacket", "jaguar",
    "jasmine", "jigsaw", "jungle", "juniper", "kayak", "kettle", "kitten", "kiwi", "koala",
    "ladder", "lagoon", "lantern", "lattice", "laurel", "lava", "lemon", "leopard", "lichen",
    "lilac", "linen", "lotus", "lynx", "magnet", "mango", "mantle", "maple", "marble", "marlin",
    "meadow", "melon", "mercury", "mirror", "monsoon", "morning", "mosaic", "muffin", "mustard",
    "nectar", "nickel", "noodle", "nutmeg", "oasis", "ocean", "olive", "onion", "opal", "orbit",
    "orchid", "osprey", "otter", "oyster", "paddle", "panda", "papaya", "parrot", "pebble",
    "pelican", "pepper", "petal", "piano", "pickle", "pigeon", "pillow", "pine", "planet",
    "plasma", "plum", "polar", "poppy", "prairie", "pretzel", "pumpkin", "puzzle", "python",
    "quartz", "quill", "quiver", "rabbit", "radish", "raven", "ribbon", "river", "robin", "ruby",
    "saffron", "salmon", "sandal", "sapling", "satin", "saturn", "scarlet", "sequoia", "shadow",
    "silver", "sparrow", "spider", "spinach", "spruce", "stable", "sulfur", "summit", "sunset",
    "teapot", "temple", "thistle", "thunder", "ticket", "tiger", "timber", "toast", "topaz",
    "tornado", "trumpet", "tulip", "tundra", "tunnel", "turtle", "valley", "vanilla", "velvet",
    "vinyl", "violet", "volcano", "waffle", "wagon", "walnut", "walrus", "wander", "whisker",
    "window", "winter", "wombat", "yogurt", "zebra", "zenith", "zephyr", "zigzag",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_words_are_taken_for_each_other() {
        assert!(WORDS.is_sorted());
        for (place, word) in WORDS.iter().enumerate() {
            assert!((4..=7).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
            for other in &WORDS[place + 1..] {
                assert!(strsim::levenshtein(word, other) >= 2, "{word} {other}");
            }
        }
    }
}
