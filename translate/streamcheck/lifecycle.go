package streamcheck

// phase is where the stream stands between its first and its last event. It changes only in advance:
//
//	atStart  ─ created(in_progress) ─▶ created ─ in_progress ─▶ running
//	atStart  ─ created(queued) ─▶ accepted ─ queued ─▶ waiting ─ in_progress ─▶ running
//	running  ─ items ─▶ running ─ completed | incomplete | failed ─▶ ended
//	running, waiting ─ error ─▶ failing ─ failed ─▶ ended
//	waiting  ─ failed ─▶ ended            a background job that never started
//	atResume ─ anything but created ─▶ as above
type phase uint8

const (
	atStart phase = iota
	atResume
	created
	accepted
	waiting
	running
	failing
	ended
)

// advance checks that an event of this type may come now, and moves on as if it did.
func (c *checker) advance(typ string, v *value) {
	from := c.phase
	if from == failing && typ != typeFailed {
		c.fail(TerminalError, "after an error event only response.failed may follow")
	}
	if from == atStart && typ != typeCreated {
		c.fail(LifecycleCreatedFirst, "the first event must be response.created")
	}
	switch typ {
	case typeCreated:
		if from != atStart {
			c.fail(LifecycleOrder, "response.created must be the first event and occur once")
		}
		if c.phase = created; v.get("response").string("status") == "queued" {
			c.phase = accepted
		}
	case typeQueued:
		if from != accepted && from != atResume && from != atStart {
			c.fail(LifecycleOrder, "response.queued must follow a response.created with the status queued")
		}
		c.phase = waiting
	case typeInProgress:
		if from != created && from != waiting && from != atResume && from != atStart {
			c.fail(LifecycleOrder, "response.in_progress must follow response.created, or response.queued in the background, and occur once")
		}
		c.phase = running
	case typeError:
		c.started(from, true)
		c.phase = failing
	case typeFailed:
		c.started(from, true)
		c.phase = ended
	case typeCompleted, typeIncomplete:
		c.started(from, false)
		c.phase = ended
	default:
		c.started(from, false)
		c.phase = running
	}
}

// started reports an event that needs response.in_progress before it. A failure may also come out of the queue.
func (c *checker) started(from phase, failure bool) {
	if from == created || from == accepted || from == waiting && !failure {
		c.fail(LifecycleOrder, "response.in_progress must come before this event")
	}
}

// statusOf is the status each lifecycle event announces; created also comes with queued.
var statusOf = map[string]string{
	typeCreated: "in_progress", typeQueued: "queued", typeInProgress: "in_progress",
	typeCompleted: "completed", typeIncomplete: "incomplete", typeFailed: "failed",
}

// lifecycle follows created, queued and in_progress.
func (c *checker) lifecycle(resp *value) {
	if !resp.is(object) {
		return // reported as a missing member
	}
	c.response(resp)
	status, want := resp.string("status"), statusOf[c.typ]
	background := resp.get("background")
	switch queued := background.is(boolean) && string(background.raw) == "true"; {
	case c.typ == typeCreated && queued:
		if status != "queued" {
			c.fail(LifecycleStatus, "a background response must be created with the status queued, it is %s", clipText(status))
		}
	case status != want:
		c.fail(LifecycleStatus, "%s must carry the status %s, it is %s", c.typ, want, clipText(status))
	}
	c.sameResponse(resp, status == "in_progress" || status == "queued")
	if c.snapshot == nil {
		c.snapshot = resp
	}
}

// results are the members that are no echo: they may differ between the first and the terminal snapshot.
var results = map[string]bool{
	"id": true, "status": true, "output": true, "usage": true, "completed_at": true, "error": true, "incomplete_details": true,
	"service_tier": true, "store": true, // the resolved tier; a store that failed meanwhile
	"moderation": true, "tool_usage": true, "prompt_cache_diagnostics": true, "input_transformations": true,
}

// sameResponse compares a lifecycle event's response with the first one: the id and everything that is an echo of the
// request. Two snapshots of a running response may differ in nothing but their status.
func (c *checker) sameResponse(resp *value, unfinished bool) {
	if id := resp.string("id"); c.id == "" {
		c.id = id
	} else if id != c.id {
		c.fail(LifecycleResponseID, "the response id was %s, now it is %s", clipText(c.id), clipText(id))
	}
	if c.snapshot == nil {
		return
	}
	constant := func(key string) bool { return key != "status" && key != "id" && (unfinished || !results[key]) }
	for _, key := range c.snapshot.keys {
		if constant(key) {
			if key == "conversation" && !unfinished && resp.get(key).is(null) {
				continue // which may be gone by the end
			}
			if d := diff(key, c.snapshot.get(key), resp.get(key)); d != "" {
				c.fail(LifecycleEcho, "must be as in the first event: %s", d)
			}
		}
	}
	for _, key := range resp.keys {
		if constant(key) && c.snapshot.get(key) == nil {
			c.fail(LifecycleEcho, "must be as in the first event: %s is new", key)
		}
	}
}

// errorEvent checks the stream-level error in its two forms, of which it may have both if they agree. Only the nested one is known to Open Responses, and
// only there does openai-go see an error; the flat one is in the types.
func (c *checker) errorEvent(v *value) {
	nullable := []member{{"code", text | null}, {"message", text}, {"param", text | null}}
	nested := v.get("error")
	switch {
	case nested.is(object):
		c.members(EventMember, "error", nested, with(nullable, member{"type", text}))
		for _, name := range []string{"type", "code", "message"} {
			if m := nested.get(name); m.is(text) && m.str == "" {
				c.fail(EventMember, "error.%s must not be empty", name)
			}
		}
		for _, m := range nullable {
			if flat := v.get(m.name); flat != nil {
				if d := diff(m.name, nested.get(m.name), flat); d != "" {
					c.fail(EventMember, "the event and its error must say the same: %s", d)
				}
			}
		}
	case nested != nil || c.opt.OpenResponses:
		c.fail(EventMember, "error must be an object with type, code, message and param, it is %s", clip(nested))
	default:
		c.members(EventMember, "the event", v, nullable)
		if m := v.get("message"); m.is(text) && m.str == "" {
			c.fail(EventMember, "message must not be empty")
		}
	}
}
