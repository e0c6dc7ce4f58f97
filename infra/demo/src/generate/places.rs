//! Where people live and are treated: the 98 municipalities with rough populations, and hospital units by region.

use rand::Rng;

/// The five regions, with the code that registers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    Nordjylland,
    Midtjylland,
    Syddanmark,
    Hovedstaden,
    Sjaelland,
}

impl Region {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Region::Nordjylland => "Region Nordjylland",
            Region::Midtjylland => "Region Midtjylland",
            Region::Syddanmark => "Region Syddanmark",
            Region::Hovedstaden => "Region Hovedstaden",
            Region::Sjaelland => "Region Sjælland",
        }
    }

    /// Hospital units: number and name. Names hold what text columns in real files hold.
    pub(crate) const fn units(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Region::Nordjylland => &[
                ("334501000016003", "Aalborg Universitetshospital, Syd"),
                ("334511000016009", "Regionshospital Nordjylland, Hjørring"),
                ("334521000016004", "Aalborg Universitetshospital; Hobro, \"Medicinsk Ambulatorium\""),
            ],
            Region::Midtjylland => &[
                ("346631000016007", "Aarhus Universitetshospital, \"Hormon- og Knoglesygdomme\""),
                ("346641000016002", "Regionshospitalet Gødstrup"),
                ("346651000016000", "Regionshospitalet Horsens"),
                ("346661000016003", "Hospitalsenhed Midt; Viborg – Skejbyvej"),
            ],
            Region::Syddanmark => &[
                ("372741000016005", "Odense Universitetshospital"),
                ("372751000016008", "Sygehus Sønderjylland, Aabenraa"),
                ("372761000016001", "Sygehus Lillebælt, Kolding"),
                ("372771000016006", "Esbjerg Sygehus – Sydvestjysk Sygehus"),
            ],
            Region::Hovedstaden => &[
                ("290151000016001", "Rigshospitalet, Glostrup; Øjenafdelingen"),
                ("290161000016004", "Steno Diabetes Center Copenhagen"),
                ("290171000016009", "Nordsjællands Hospital – Hillerød"),
                ("290181000016007", "Bispebjerg og Frederiksberg Hospital"),
                ("290191000016005", "Bornholms Hospital, \"Medicinsk Afsnit\", Rønne"),
            ],
            Region::Sjaelland => &[
                ("310281000016002", "Sjællands Universitetshospital, Køge"),
                ("310291000016004", "Næstved, Slagelse og Ringsted Sygehuse"),
                ("310301000016003", "Nykøbing F. Sygehus"),
            ],
        }
    }
}

/// A municipality.
pub(crate) struct Municipality {
    pub(crate) code: u16,
    pub(crate) name: &'static str,
    pub(crate) region: Region,
    /// Population in hundreds.
    weight: u32,
}

const fn m(code: u16, name: &'static str, region: Region, weight: u32) -> Municipality {
    Municipality { code, name, region, weight }
}

use Region::{Hovedstaden as H, Midtjylland as M, Nordjylland as N, Sjaelland as Z, Syddanmark as S};

/// All 98.
pub(crate) const MUNICIPALITIES: [Municipality; 98] = [
    m(101, "København", H, 6600),
    m(147, "Frederiksberg", H, 1050),
    m(151, "Ballerup", H, 520),
    m(153, "Brøndby", H, 370),
    m(155, "Dragør", H, 146),
    m(157, "Gentofte", H, 750),
    m(159, "Gladsaxe", H, 700),
    m(161, "Glostrup", H, 240),
    m(163, "Herlev", H, 300),
    m(165, "Albertslund", H, 270),
    m(167, "Hvidovre", H, 540),
    m(169, "Høje-Taastrup", H, 580),
    m(173, "Lyngby-Taarbæk", H, 580),
    m(175, "Rødovre", H, 450),
    m(183, "Ishøj", H, 240),
    m(185, "Tårnby", H, 430),
    m(187, "Vallensbæk", H, 180),
    m(190, "Furesø", H, 420),
    m(201, "Allerød", H, 260),
    m(210, "Fredensborg", H, 420),
    m(217, "Helsingør", H, 640),
    m(219, "Hillerød", H, 550),
    m(223, "Hørsholm", H, 250),
    m(230, "Rudersdal", H, 580),
    m(240, "Egedal", H, 450),
    m(250, "Frederikssund", H, 470),
    m(260, "Halsnæs", H, 320),
    m(270, "Gribskov", H, 420),
    m(400, "Bornholm", H, 390),
    m(253, "Greve", Z, 520),
    m(259, "Køge", Z, 630),
    m(265, "Roskilde", Z, 920),
    m(269, "Solrød", Z, 240),
    m(306, "Odsherred", Z, 330),
    m(316, "Holbæk", Z, 740),
    m(320, "Faxe", Z, 380),
    m(326, "Kalundborg", Z, 480),
    m(329, "Ringsted", Z, 360),
    m(330, "Slagelse", Z, 800),
    m(336, "Stevns", Z, 240),
    m(340, "Sorø", Z, 300),
    m(350, "Lejre", Z, 290),
    m(360, "Lolland", Z, 400),
    m(370, "Næstved", Z, 840),
    m(376, "Guldborgsund", Z, 600),
    m(390, "Vordingborg", Z, 450),
    m(410, "Middelfart", S, 410),
    m(420, "Assens", S, 410),
    m(430, "Faaborg-Midtfyn", S, 530),
    m(440, "Kerteminde", S, 240),
    m(450, "Nyborg", S, 320),
    m(461, "Odense", S, 2080),
    m(479, "Svendborg", S, 600),
    m(480, "Nordfyns", S, 300),
    m(482, "Langeland", S, 120),
    m(492, "Ærø", S, 60),
    m(510, "Haderslev", S, 550),
    m(530, "Billund", S, 270),
    m(540, "Sønderborg", S, 740),
    m(550, "Tønder", S, 370),
    m(561, "Esbjerg", S, 1160),
    m(563, "Fanø", S, 34),
    m(573, "Varde", S, 500),
    m(575, "Vejen", S, 430),
    m(580, "Aabenraa", S, 590),
    m(607, "Fredericia", S, 530),
    m(621, "Kolding", S, 960),
    m(630, "Vejle", S, 1220),
    m(615, "Horsens", M, 970),
    m(657, "Herning", M, 900),
    m(661, "Holstebro", M, 590),
    m(665, "Lemvig", M, 190),
    m(671, "Struer", M, 210),
    m(706, "Syddjurs", M, 440),
    m(707, "Norddjurs", M, 380),
    m(710, "Favrskov", M, 500),
    m(727, "Odder", M, 240),
    m(730, "Randers", M, 1000),
    m(740, "Silkeborg", M, 1010),
    m(741, "Samsø", M, 37),
    m(746, "Skanderborg", M, 660),
    m(751, "Aarhus", M, 3680),
    m(756, "Ikast-Brande", M, 420),
    m(760, "Ringkøbing-Skjern", M, 570),
    m(766, "Hedensted", M, 480),
    m(779, "Skive", M, 450),
    m(791, "Viborg", M, 980),
    m(773, "Morsø", N, 200),
    m(787, "Thisted", N, 430),
    m(810, "Brønderslev", N, 360),
    m(813, "Frederikshavn", N, 580),
    m(820, "Vesthimmerland", N, 360),
    m(825, "Læsø", N, 18),
    m(840, "Rebild", N, 310),
    m(846, "Mariagerfjord", N, 420),
    m(849, "Jammerbugt", N, 390),
    m(851, "Aalborg", N, 2230),
    m(860, "Hjørring", N, 630),
];

const TOTAL: u32 = {
    let mut sum = 0;
    let mut i = 0;
    while i < MUNICIPALITIES.len() {
        sum += MUNICIPALITIES[i].weight;
        i += 1;
    }
    sum
};

/// A place in `MUNICIPALITIES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u8);

impl Place {
    /// Drawn in proportion to population.
    pub(crate) fn draw(rng: &mut impl Rng) -> Place {
        let mut left = rng.random_range(0..TOTAL);
        for (i, place) in MUNICIPALITIES.iter().enumerate() {
            match left.checked_sub(place.weight) {
                Some(rest) => left = rest,
                None => return Place(i as u8),
            }
        }
        Place(0)
    }

    pub(crate) fn get(self) -> &'static Municipality {
        &MUNICIPALITIES[usize::from(self.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_the_country_is_whole() {
        let codes: std::collections::HashSet<_> = MUNICIPALITIES.iter().map(|p| p.code).collect();
        assert_eq!(codes.len(), 98);
        assert!((58_000..61_000).contains(&TOTAL), "{TOTAL}");
    }
}
