// Package proxy is the HTTP side of Antiphon: what fasthttp hands in is read,
// translated, sent to the upstream, translated back and written out. fasthttp
// lives here, and in proxy/upstream for its parser, and nowhere else.
//
// Where is …?
//
// Requests:
//
//	which path goes where                      routes.go
//	starting, draining, stopping               server.go
//	connections: bounds, descriptors           listener.go, descriptors.go, descriptors_unix.go,
//	                                           descriptors_other.go
//	one request and all that it holds          exchange.go
//	bodies: compressed, slow, too large        request_encoding.go, upload_deadline.go
//	the budget of memory                       memory_budget.go
//	buffers that requests share                buffer.go, scratch.go
//	who is it, whose data is it                auth.go, tenant.go
//	web pages: Host, Origin, content types     pages.go
//	which models a key may use                 allowed_models.go
//	limits of a tenant                         quota.go
//	the client has left                        clients.go, gone_linux.go, gone_other.go
//	closing without losing what was said       linger.go
//
// Answers:
//
//	POST /responses, step by step              create.go
//	chat clients of Responses backends         chat_front.go, chat_choices.go
//	a Responses body on the chat path          chat_misplaced.go, misplaced_reply.go
//	Responses clients of Responses backends    responses_upstream.go
//	everything else under /v1                  passthrough.go, pass_allowed.go
//	ids that an upstream made                  upstream_ids.go
//	the request as it goes to an upstream      attempt.go, headers.go
//	files and images that are fetched          fetched.go
//	asking again: failover, overrides, truncation retry.go
//	reading a reply, idle time, a stall        pump.go
//	what form a reply has                      reply_form.go
//	errors that come with status 200           inband.go, inband_passing.go
//	answers held against a schema              checked.go
//	a custom tool's input, asked for again     call_again.go
//	where an answer goes, keep-alives          sink.go
//	the stream of events to a client           stream.go
//	clients that read slowly                   slow_writer.go, unsent_linux.go, unsent_other.go
//	a response is stored, then complete        commit.go
//	time to the first token                    first_token.go
//
// Upstreams:
//
//	one upstream                               backend.go
//	which upstream, failover, health           routing.go
//	which dialect it speaks                    detect.go
//	capability overrides that were learned     learning.go
//	the list of models                         models.go
//
// State:
//
//	GET, DELETE, input_items                   stored.go
//	lists, page by page                        page.go
//	what of it is damaged                      store_damage.go
//	previous_response_id, item references      history.go
//	conversations and their items              conversations.go, conversation_items.go
//	a response in a conversation, its lock     conversation_turn.go
//	reasoning that chat clients cannot carry   kept_reasoning.go, kept_refused.go
//	envelopes that clients carry               sealer.go
//	compact, context_management                compact.go
//	input_tokens                               input_tokens.go
//	stored chat completions                    chat_kept.go, chat_stored.go
//	background responses                       background.go, run_*.go
//	WebSocket mode                             websocket.go, websocket_*.go
//
// What is told:
//
//	errors as the API says them                errors.go
//	secrets that stay inside                   redaction.go
//	one log line a request                     accesslog.go
//	failures of upstreams in the log           upstream_log.go
//	metrics, health, profiles                  admin.go
//	recordings                                 record.go
package proxy
