// Package translate turns requests and replies of OpenAI's Responses API into
// those of its Chat Completions API, and the other way round. It is bytes in and
// bytes out: no clock, no randomness, no network. Ids and times are arguments, so
// that the same input always gives the same output.
//
// A client that speaks Responses, in front of a chat backend:
//
//	Request.Parse, Request.AppendChat        the request, up
//	Turn                                     the reply, back: events and the object
//
// A client that speaks Chat Completions, in front of a Responses backend:
//
//	ChatRequest.Parse, AppendResponses       the request, up
//	ChatTurn, ChatChoices                    the reply, back: chunks and the object
//
// A client that speaks Responses, in front of a Responses backend that keeps the
// promises of the API by halves (Dialect.Responses.Complete is false):
//
//	ResponsesTurn                            the reply, completed
//
// What the other side has no place for is in a loss report (Losses), with a rule
// for each kind of loss (Rules). How servers differ is in a Dialect, which is
// data. All types that are meant to be pooled have a Reset, or a Parse that starts
// over; none may be used by two goroutines at once.
//
// # What to use from elsewhere
//
// A program that only wants translation needs the types above, their options,
// LookupDialect, Losses and Error, as the examples show; package sse takes streams
// apart. These are what antiphon translate is made of. The rest is what a server
// needs besides: history, stored objects, conversations, compaction, learning from
// refusals. Units are in the names or the comments: times are Unix seconds, sizes
// are bytes. SPEC §… in a comment is a chapter of the notes on the two APIs that
// the project keeps beside its source; what came of them is in
// docs/COMPATIBILITY.md.
//
// # Where is …?
//
// File names are arrows, <from>_<to>_<what>, for what the first direction does:
//
//	responses_chat_*       a Responses request becomes a chat request
//	chat_responses_*       a chat reply becomes a response: Turn
//	responses_responses_*  a response by halves becomes a whole one: ResponsesTurn
//
// The arrows of the reverse direction would have the same names, so its files
// begin with who stands in front instead:
//
//	chatfront_request, _validate, _message, _tools     a chat request, read and checked
//	chatfront_responses, _input                        … becomes a Responses request
//	chatfront_kept                                     reasoning that chat clients cannot send back
//	chatfront_turn, _chunk, _completion, _stop         a response becomes a chat completion: ChatTurn
//	chatfront_choices                                  several of them become one: ChatChoices
//	chatfront_error                                    errors in the words of the Chat API
//
// Both readers of a Responses backend's replies, ChatTurn and ResponsesTurn, have
// one reader in common, which makes up for what the backend leaves out:
//
//	responses_reply, _item, _shape                     what a reply says, told to a replySink
//
// And for all of them: jsonx (the only place that parses), sse (streams in
// pieces), grammar (the grammars of custom tools), streamcheck (the rules of
// streams, which share no code with this package).
package translate
