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
// are bytes. Facts of the
// two APIs that comments rely on are in docs/PROTOCOL.md.
//
// # Where is …?
//
// File names are arrows, <from>_<to>_<what>, for Responses clients; those for chat
// clients begin with chatfront. Packages: jsonx (the only place that parses), sse
// (streams in pieces), grammar (the grammars of custom tools), schema (JSON Schema),
// streamcheck (the rules of streams, which share no code with this package).
//
// A Responses request becomes a chat request:
//
//	parameters, stages of validation           responses_request.go, responses_validate.go
//	the API's words for faults                 responses_fault.go
//	parameters that moved to the other API     responses_moved.go
//	input items and their content parts        responses_items.go, responses_parts.go
//	items that change what is asked for        responses_loaded.go
//	tools, tool_choice                         responses_tools.go, responses_tool_choice.go
//	what is stored of a request                responses_stored.go
//	the request for the backend                responses_chat_request.go
//	input items become messages                responses_chat_input.go, responses_chat_message.go
//	an assistant's turn as one message         responses_chat_assistant.go
//	outputs of tools                           responses_chat_output.go
//	messages between agents                    responses_chat_agent.go
//	calls of tools that another server ran     responses_chat_hosted.go
//	ids of calls over a whole thread           responses_chat_ids.go
//	reasoning that goes back                   responses_chat_reasoning.go
//	a thread that was translated before        responses_chat_history.go
//	tools for the backend, one name each       responses_chat_tools.go, responses_chat_namespace.go,
//	                                           tool_name.go
//	custom and client-run tools                responses_chat_custom.go, responses_chat_builtin.go
//	text.format                                responses_chat_format.go
//	images and files by URL or id              responses_chat_fetched.go
//	one call a message, where needed           responses_chat_single.go
//	truncation after a full context            responses_chat_truncate.go
//
// A chat reply becomes a response: Turn:
//
//	states, begin and end                      chat_responses_turn.go
//	a chunk, a whole reply                     chat_responses_chunk.go
//	a chunk like the one before                chat_responses_shape.go
//	keep-alives and flawed JSON in data        chat_responses_frame.go
//	several choices, one answer                chat_responses_choices.go
//	content of any type, its text              chat_responses_content.go, chat_responses_text.go
//	which call a fragment belongs to           chat_responses_fragment.go, chat_responses_call.go
//	a call's name                              call_name.go
//	a call's arguments                         chat_responses_arguments.go, call_arguments_scan.go
//	arguments of the wrong type                chat_responses_mend.go
//	calls left in the text                     chat_responses_markup.go, call_markup_parse.go
//	harmony channels left in the text          chat_responses_channels.go
//	custom and client-run tools                chat_responses_custom.go, chat_responses_builtin.go
//	what a custom tool is given                custom_input.go, custom_input_unwrap.go
//	inputs that break their grammar            chat_responses_grammar.go
//	reasoning, in fields and in tags           chat_responses_reasoning.go, think.go
//	in which field it came                     chat_responses_reasoning_field.go
//	what a reasoning item carries sealed       chat_responses_sealed.go
//	sources and pictures of an answer          chat_responses_sources.go, chat_responses_image.go
//	what the backend has ignored               chat_responses_honoured.go
//	finish words                               finish.go
//	output items, the response object          chat_responses_item.go, responses_object.go
//	events and their padding                   event.go, event_obfuscation.go
//	what a turn holds beyond its memory        spill.go
//	background: queued, lost                   chat_responses_background.go, chat_responses_recover.go
//
// A partial Responses API is completed: ResponsesTurn:
//
//	the request for it, its tools              responses_responses_request.go, responses_responses_tools.go
//	the reply                                  responses_responses_turn.go
//
// A chat request becomes a Responses request:
//
//	parsed and validated                       chatfront_request.go, chatfront_validate.go,
//	                                           chatfront_message.go, chatfront_part.go, chatfront_tools.go
//	the request for the backend                chatfront_responses.go, chatfront_input.go
//	reasoning: asked for, given back           chatfront_reasoning.go, chatfront_kept.go
//
// A response becomes a chat completion: ChatTurn:
//
//	states, chunks, the completion             chatfront_turn.go, chatfront_chunk.go, chatfront_completion.go
//	several choices                            chatfront_choices.go
//	stop sequences                             chatfront_stop.go
//	moderation results                         chatfront_moderation.go
//	errors in the words of the Chat API        chatfront_error.go
//
// What a Responses backend says, for both of its readers:
//
//	events and whole replies                   responses_reply.go, responses_reply_item.go
//	which item is meant                        responses_reply_match.go
//	two texts of the same arguments            responses_reply_arguments.go
//	citations                                  responses_reply_citations.go
//	an event like the one before               responses_reply_shape.go
//	errors with status 200                     refusal_responses.go
//
// Dialects:
//
//	fields, presets, evidence                  dialect.go, dialect_responses.go, dialect_table.go
//	a field set by its key                     dialect_set.go, dialect_fact.go
//	how a server is told by its replies        dialect_signs.go
//	what a refusal teaches                     learn.go, learn_inserted.go, learn_responses.go
//
// For all of them:
//
//	the loss report and its rules              loss.go, loss_table.go, loss_table_chat.go
//	errors; what a backend says of one         error.go, error_upstream.go, error_words.go
//	ids                                        id.go
//	credentials of tools                       credentials.go
//	compaction                                 compaction.go, compaction_prompt.go
//	conversations                              conversation_body.go
//	stored chat completions                    chat_stored.go, chat_fold.go
//	counting tokens                            chat_tokens.go
//	messages of a WebSocket                    websocket_frame.go
package translate
