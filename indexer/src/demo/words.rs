//! What the demo shop sells, in words.

/// A kind of product.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) code: &'static str,
    pub(super) path: &'static [&'static str],
    pub(super) shape: &'static str,
    pub(super) materials: &'static [&'static str],
    pub(super) sizes: &'static [&'static str],
    /// The lowest and the highest price in dollars.
    pub(super) price: (f64, f64),
    /// An attribute with a number: its name, whose end is the unit, and its values.
    pub(super) number: Option<(&'static str, &'static [f64])>,
    pub(super) features: &'static [&'static str],
}

impl Type {
    /// The place of the type's department among all departments.
    pub(super) fn department(&self) -> usize {
        DEPARTMENTS.iter().position(|name| *name == self.path[0]).unwrap_or(0)
    }
}

pub(super) const DEPARTMENTS: &[&str] =
    &["Clothing", "Shoes", "Bags & Luggage", "Accessories", "Home", "Kitchen", "Electronics", "Outdoor", "Toys"];

pub(super) struct Color {
    pub(super) name: &'static str,
    pub(super) hex: &'static str,
}

const fn color(name: &'static str, hex: &'static str) -> Color {
    Color { name, hex }
}

pub(super) const COLORS: &[Color] = &[
    color("black", "#2b2b2f"),
    color("white", "#f4f1ea"),
    color("grey", "#9aa0a6"),
    color("navy", "#26406b"),
    color("blue", "#3f7fbf"),
    color("teal", "#2f8f8b"),
    color("green", "#4f8f4f"),
    color("olive", "#80803f"),
    color("yellow", "#e3b93c"),
    color("orange", "#dd7a34"),
    color("red", "#bf3b3b"),
    color("burgundy", "#7a2a3c"),
    color("pink", "#df8fa9"),
    color("purple", "#7b559c"),
    color("brown", "#85603f"),
    color("beige", "#d8c6a5"),
];

pub(super) const BRANDS: &[&str] = &[
    "Aldermoor",
    "Brackwell",
    "Calvane",
    "Dorrimont",
    "Eskholm",
    "Fenwicke & Sohn",
    "Galdra",
    "Hartlow",
    "Ilvane",
    "Jorvikson",
    "Kestrin",
    "Lumeva",
    "Marwick",
    "Nordhalm",
    "Ostrava Nine",
    "Pellworth",
    "Quillon",
    "Ravenny",
    "Solvik",
    "Tamarisk & Co",
    "Ulvaer",
    "Vantora",
    "Westerby",
    "Xandry",
    "Yarrowdale",
    "Zephyne",
    "Ambervale",
    "Boreal Works",
    "Cindermark",
    "Draycote",
    "Elmsire",
    "Farrowgate",
    "Glenhurst",
    "Hollin",
    "Isenbrook",
    "Juniperra",
    "Kaldfell",
    "Linnet & Thorn",
    "Mossgrove",
    "Novarre",
    "Oakhaven",
    "Prismere",
    "Quarrystone",
    "Rushmead",
    "Stellaro",
    "Thistlewick",
    "Umbrio",
    "Veldtmark",
    "Wolderin",
];

pub(super) const LINES: &[&str] = &[
    "Aria", "Bolt", "Cirrus", "Drift", "Ember", "Fjord", "Glide", "Halo", "Indigo", "Juno", "Kite", "Lyra", "Mesa",
    "Nova", "Orbit", "Pico", "Quill", "Ridge", "Sierra", "Terra", "Umber", "Vesper", "Willow", "Xenon", "Yonder",
    "Zenith", "Atlas", "Breeze", "Comet", "Delta", "Echo", "Fable", "Grove", "Harbor", "Iris", "Jasper",
];

pub(super) const ADJECTIVES: &[&str] = &[
    "Classic",
    "Slim",
    "Pro",
    "Lite",
    "Compact",
    "Everyday",
    "Heritage",
    "Urban",
    "Trail",
    "Studio",
    "Soft",
    "Bold",
    "Mini",
    "Max",
    "Essential",
    "Original",
    "Relaxed",
    "Light",
    "Winter",
    "Summer",
];

pub(super) const SENTENCES: &[&str] = &[
    "Sent in a box made of recycled paper.",
    "Spare parts are kept for ten years.",
    "Comes with a two-year guarantee.",
    "Designed for daily use, and easy to repair.",
    "Our workshop checks every piece by hand.",
    "A gift that is used rather than kept.",
];

const LETTERS: &[&str] = &["XS", "S", "M", "L", "XL", "XXL"];
const SHOES: &[&str] = &["37", "38", "39", "40", "41", "42", "43", "44", "45"];
const LITRES: &[f64] = &[0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.5, 5.0];
const INCHES: &[f64] = &[5.8, 6.1, 6.7, 10.9, 13.3, 14.0, 15.6, 17.3, 27.0, 43.0, 55.0];
const FABRICS: &[&str] = &["Cotton", "Linen", "Merino Wool", "Denim", "Viscose", "Recycled Polyester"];
const LEATHERS: &[&str] = &["Leather", "Suede", "Canvas", "Knit", "Vegan Leather"];
const METALS: &[&str] = &["Steel", "Aluminium", "Copper", "Cast Iron", "Titanium"];
const WOODS: &[&str] = &["Oak", "Walnut", "Beech", "Bamboo", "Pine", "Rattan"];
const PLASTICS: &[&str] = &["Plastic", "Aluminium", "Glass", "Recycled Plastic"];
const CLOTHES: &[&str] =
    &["machine washable", "breathable", "quick drying", "wrinkle free", "water repellent", "lined", "stretchy"];
const FOOTWEAR: &[&str] = &["waterproof", "cushioned", "lightweight", "slip resistant", "breathable", "resoleable"];
const KITCHEN: &[&str] = &["dishwasher safe", "oven safe", "stackable", "leakproof", "induction ready", "non-stick"];
const FURNITURE: &[&str] =
    &["easy to assemble", "stackable", "foldable", "solid", "height adjustable", "for small rooms"];
const DEVICES: &[&str] =
    &["bluetooth", "fast charging", "noise cancelling", "waterproof", "dimmable", "USB-C", "long-lasting"];
const OUTDOOR: &[&str] = &["waterproof", "windproof", "ultralight", "foldable", "insulated", "UV resistant"];

const ONE_SIZE: &[&str] = &[];

#[rustfmt::skip]
pub(super) const TYPES: &[Type] = &[
    Type { name: "T-Shirt", code: "TS", path: &["Clothing", "Tops", "T-Shirts"], shape: "shirt", materials: FABRICS, sizes: LETTERS, price: (9.0, 60.0), number: None, features: CLOTHES },
    Type { name: "Shirt", code: "SH", path: &["Clothing", "Tops", "Shirts"], shape: "shirt", materials: FABRICS, sizes: LETTERS, price: (19.0, 120.0), number: None, features: CLOTHES },
    Type { name: "Sweater", code: "SW", path: &["Clothing", "Tops", "Knitwear"], shape: "shirt", materials: FABRICS, sizes: LETTERS, price: (29.0, 180.0), number: None, features: CLOTHES },
    Type { name: "Rain Jacket", code: "RJ", path: &["Clothing", "Jackets", "Rain Jackets"], shape: "shirt", materials: FABRICS, sizes: LETTERS, price: (49.0, 340.0), number: None, features: OUTDOOR },
    Type { name: "Jeans", code: "JE", path: &["Clothing", "Trousers", "Jeans"], shape: "trousers", materials: &["Denim", "Cotton"], sizes: LETTERS, price: (29.0, 160.0), number: None, features: CLOTHES },
    Type { name: "Chinos", code: "CH", path: &["Clothing", "Trousers", "Chinos"], shape: "trousers", materials: FABRICS, sizes: LETTERS, price: (25.0, 120.0), number: None, features: CLOTHES },
    Type { name: "Summer Dress", code: "DR", path: &["Clothing", "Dresses"], shape: "dress", materials: FABRICS, sizes: LETTERS, price: (29.0, 220.0), number: None, features: CLOTHES },
    Type { name: "Sneakers", code: "SN", path: &["Shoes", "Sneakers"], shape: "shoe", materials: LEATHERS, sizes: SHOES, price: (39.0, 190.0), number: None, features: FOOTWEAR },
    Type { name: "Running Shoes", code: "RS", path: &["Shoes", "Sports Shoes", "Running"], shape: "shoe", materials: LEATHERS, sizes: SHOES, price: (49.0, 220.0), number: None, features: FOOTWEAR },
    Type { name: "Hiking Boots", code: "HB", path: &["Shoes", "Boots", "Hiking"], shape: "boot", materials: LEATHERS, sizes: SHOES, price: (79.0, 320.0), number: None, features: FOOTWEAR },
    Type { name: "Ankle Boots", code: "AB", path: &["Shoes", "Boots", "Ankle"], shape: "boot", materials: LEATHERS, sizes: SHOES, price: (59.0, 280.0), number: None, features: FOOTWEAR },
    Type { name: "Backpack", code: "BP", path: &["Bags & Luggage", "Backpacks"], shape: "bag", materials: LEATHERS, sizes: ONE_SIZE, price: (29.0, 260.0), number: None, features: OUTDOOR },
    Type { name: "Laptop Bag", code: "LB", path: &["Bags & Luggage", "Laptop Bags"], shape: "bag", materials: LEATHERS, sizes: ONE_SIZE, price: (25.0, 240.0), number: Some(("screen_inch", &[13.3, 14.0, 15.6, 17.3])), features: OUTDOOR },
    Type { name: "Wallet", code: "WA", path: &["Bags & Luggage", "Wallets"], shape: "box", materials: LEATHERS, sizes: ONE_SIZE, price: (12.0, 110.0), number: None, features: &["slim", "RFID blocking", "with coin pocket", "hand stitched"] },
    Type { name: "Wrist Watch", code: "WW", path: &["Accessories", "Watches"], shape: "watch", materials: METALS, sizes: ONE_SIZE, price: (39.0, 900.0), number: None, features: &["waterproof", "automatic", "with date", "solar powered"] },
    Type { name: "Scarf", code: "SC", path: &["Accessories", "Scarves"], shape: "box", materials: FABRICS, sizes: ONE_SIZE, price: (12.0, 90.0), number: None, features: CLOTHES },
    Type { name: "Desk Lamp", code: "DL", path: &["Home", "Lighting", "Desk Lamps"], shape: "lamp", materials: METALS, sizes: ONE_SIZE, price: (19.0, 240.0), number: None, features: DEVICES },
    Type { name: "Floor Lamp", code: "FL", path: &["Home", "Lighting", "Floor Lamps"], shape: "lamp", materials: WOODS, sizes: ONE_SIZE, price: (39.0, 480.0), number: None, features: DEVICES },
    Type { name: "Dining Chair", code: "DC", path: &["Home", "Furniture", "Chairs"], shape: "chair", materials: WOODS, sizes: ONE_SIZE, price: (39.0, 420.0), number: None, features: FURNITURE },
    Type { name: "Office Chair", code: "OC", path: &["Home", "Furniture", "Chairs"], shape: "chair", materials: PLASTICS, sizes: ONE_SIZE, price: (79.0, 890.0), number: None, features: FURNITURE },
    Type { name: "Coffee Table", code: "CT", path: &["Home", "Furniture", "Tables"], shape: "table", materials: WOODS, sizes: ONE_SIZE, price: (59.0, 790.0), number: None, features: FURNITURE },
    Type { name: "Bookshelf", code: "BS", path: &["Home", "Furniture", "Shelves"], shape: "table", materials: WOODS, sizes: ONE_SIZE, price: (49.0, 690.0), number: None, features: FURNITURE },
    Type { name: "Duvet Cover", code: "DU", path: &["Home", "Bedding"], shape: "box", materials: FABRICS, sizes: &["Single", "Double", "King"], price: (25.0, 180.0), number: None, features: CLOTHES },
    Type { name: "Mug", code: "MU", path: &["Kitchen", "Tableware", "Mugs"], shape: "mug", materials: &["Stoneware", "Porcelain", "Enamel", "Glass"], sizes: ONE_SIZE, price: (5.0, 39.0), number: Some(("capacity_l", &[0.2, 0.25, 0.33, 0.5])), features: KITCHEN },
    Type { name: "Water Bottle", code: "WB", path: &["Kitchen", "Drinkware", "Bottles"], shape: "bottle", materials: METALS, sizes: ONE_SIZE, price: (9.0, 59.0), number: Some(("capacity_l", LITRES)), features: KITCHEN },
    Type { name: "Frying Pan", code: "FP", path: &["Kitchen", "Cookware", "Pans"], shape: "pan", materials: METALS, sizes: &["20 cm", "24 cm", "28 cm"], price: (15.0, 190.0), number: None, features: KITCHEN },
    Type { name: "Saucepan", code: "SP", path: &["Kitchen", "Cookware", "Pots"], shape: "pan", materials: METALS, sizes: ONE_SIZE, price: (19.0, 210.0), number: Some(("capacity_l", LITRES)), features: KITCHEN },
    Type { name: "Electric Kettle", code: "EK", path: &["Kitchen", "Appliances", "Kettles"], shape: "bottle", materials: METALS, sizes: ONE_SIZE, price: (19.0, 160.0), number: Some(("capacity_l", &[1.0, 1.5, 1.7, 2.0])), features: KITCHEN },
    Type { name: "Headphones", code: "HP", path: &["Electronics", "Audio", "Headphones"], shape: "headphones", materials: PLASTICS, sizes: ONE_SIZE, price: (19.0, 520.0), number: None, features: DEVICES },
    Type { name: "Bluetooth Speaker", code: "BT", path: &["Electronics", "Audio", "Speakers"], shape: "speaker", materials: PLASTICS, sizes: ONE_SIZE, price: (19.0, 420.0), number: None, features: DEVICES },
    Type { name: "Laptop", code: "LT", path: &["Electronics", "Computers", "Laptops"], shape: "laptop", materials: PLASTICS, sizes: ONE_SIZE, price: (299.0, 2900.0), number: Some(("screen_inch", &[13.3, 14.0, 15.6, 17.3])), features: DEVICES },
    Type { name: "Monitor", code: "MO", path: &["Electronics", "Computers", "Monitors"], shape: "laptop", materials: PLASTICS, sizes: ONE_SIZE, price: (99.0, 1400.0), number: Some(("screen_inch", &[24.0, 27.0, 32.0])), features: DEVICES },
    Type { name: "Smartphone", code: "PH", path: &["Electronics", "Phones", "Smartphones"], shape: "phone", materials: PLASTICS, sizes: ONE_SIZE, price: (129.0, 1300.0), number: Some(("screen_inch", INCHES)), features: DEVICES },
    Type { name: "Phone Case", code: "PC", path: &["Electronics", "Phones", "Cases"], shape: "phone", materials: LEATHERS, sizes: ONE_SIZE, price: (7.0, 59.0), number: None, features: OUTDOOR },
    Type { name: "Camera", code: "CA", path: &["Electronics", "Photo", "Cameras"], shape: "camera", materials: PLASTICS, sizes: ONE_SIZE, price: (199.0, 2600.0), number: None, features: DEVICES },
    Type { name: "Tent", code: "TE", path: &["Outdoor", "Camping", "Tents"], shape: "tent", materials: FABRICS, sizes: &["2 persons", "3 persons", "4 persons"], price: (79.0, 690.0), number: None, features: OUTDOOR },
    Type { name: "Sleeping Bag", code: "SB", path: &["Outdoor", "Camping", "Sleeping Bags"], shape: "bottle", materials: FABRICS, sizes: &["Regular", "Long"], price: (39.0, 380.0), number: None, features: OUTDOOR },
    Type { name: "Football", code: "FB", path: &["Outdoor", "Sports", "Balls"], shape: "ball", materials: &["Leather", "Rubber", "Recycled Polyester"], sizes: &["3", "4", "5"], price: (9.0, 79.0), number: None, features: OUTDOOR },
    Type { name: "Yoga Mat", code: "YM", path: &["Outdoor", "Sports", "Fitness"], shape: "box", materials: &["Cork", "Rubber", "Jute"], sizes: ONE_SIZE, price: (15.0, 120.0), number: None, features: &["non-slip", "washable", "extra thick", "foldable"] },
    Type { name: "Building Blocks", code: "BB", path: &["Toys", "Construction"], shape: "box", materials: WOODS, sizes: ONE_SIZE, price: (9.0, 120.0), number: None, features: &["for ages 3 and up", "for ages 6 and up", "washable", "in a storage box"] },
];
