// Package chaos kills real processes under load and asks what became of what
// they had promised.
//
// Clients create, stream, continue, converse, run in the background, cancel and
// delete, at whichever replica, and write down what they were told: that is the
// ledger. Then something dies: antiphon (TestKilled), or the server of the store
// (TestStoreUnderLoad). Whatever was acknowledged must be there and equal, byte
// for byte; of everything else all or nothing.
//
// ANTIPHON_CHAOS_CYCLES is how often TestKilled kills for each store; 25 without.
package chaos
