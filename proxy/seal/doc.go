// Package seal keeps what belongs to Antiphon in the hands of clients: reasoning
// and summaries travel with them as "encrypted_content", which only this
// deployment can open, for the tenant it was made for and for the purpose it was
// made for.
//
// Where is …?
//
//	the form of an envelope, sealing and opening   envelope.go
//	which keys there are, where they come from     keys.go
//
// An envelope is
//
//	antiphon1.KKKKKKKK.BBBB…
//
// K is the id of the key, eight hex digits. B is base64url without padding of
// nonce (12 bytes), ciphertext and tag (16) of AES-256-GCM, under a key that
// HKDF-SHA256 derives from the master key for one tenant and one purpose. Tenant,
// purpose and all before B are authenticated with it.
//
// Random nonces are safe for 2^32 envelopes per derived key; a tenant that seals
// a thousand a second gets there in seven weeks, and one that comes near it
// should have its keys rotated (the collision odds at 2^32 are one in 2^33).
//
// Envelopes are not bound to the item that they were in: clients replay
// reasoning without its id. They do not expire either: a history may be years
// old. Dropping a key is what makes them worthless.
package seal
