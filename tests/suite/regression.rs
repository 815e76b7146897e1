//! One test for each fault that was found and mended, named after what a user saw. Whoever mends a
//! fault adds the test that failed before.
