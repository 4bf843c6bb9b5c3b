// Package proxy is the HTTP side of Antiphon: what fasthttp hands in is read,
// translated, sent to the upstream, translated back and written out. fasthttp
// lives here, and in proxy/upstream for its parser, and nowhere else.
//
// Where is …?
//
//	which path goes where                     routes.go
//	POST /responses, step by step             create.go
//	the request as it goes to an upstream     attempt.go
//	asking again: failover, what is learned,
//	truncation, in-band errors                retry.go
//	where an answer goes, keep-alives         sink.go
//	the stream of events to a client          stream.go
//	errors that come with status 200          inband.go, inband_passing.go
//	reading a reply, idle time, a stall       pump.go
//	what form a reply has                     reply_form.go
//	the replies for several choices (n)       chat_choices.go
//	a response is stored, then complete       commit.go
//	GET, DELETE, input_items                  stored.go
//	lists, page by page                       page.go
//	background responses                      background.go, run_*.go
//	WebSocket mode                            websocket.go, websocket_*.go
//	everything else under /v1                 passthrough.go
//	previous_response_id, item references     history.go
//	conversations and their items             conversations.go, conversation_items.go
//	a response in a conversation, its lock    conversation_turn.go
//	compact, context_management               compact.go
//	input_tokens                              input_tokens.go
//	chat completions that are kept            chat_kept.go, chat_stored.go
//	who is it, whose data is it               auth.go
//	the client has left                       clients.go, gone_linux.go
//	starting, draining, stopping              server.go
//	limits and faults as the API says them    errors.go
//	one log line an exchange                  accesslog.go
//	metrics, health, profiles                 admin.go
package proxy
