//! Counters per worker, summed when scraped. [owner: lifecycle]
