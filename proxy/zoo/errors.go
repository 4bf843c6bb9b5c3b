package zoo

import "encoding/json"

// Error is what a family answers to what it refuses.
type Error struct {
	Status            int // 0 is 400
	Message           string
	Type, Code, Param string
	Form              ErrorForm // nil is the family's
}

// ErrorForm writes an error's body.
type ErrorForm func(e Error, message string) []byte

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("zoo: " + err.Error())
	}
	return b
}

type object = map[string]any

// orNull is nil for "".
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (e Error) typeOr(s string) string {
	if e.Type != "" {
		return e.Type
	}
	return s
}

func (e Error) status() int {
	if e.Status == 0 {
		return 400
	}
	return e.Status
}

// errorObject is OpenAI's body.
func errorObject(e Error, message string) []byte {
	return toJSON(object{"error": object{"message": message, "type": e.typeOr("invalid_request_error"), "param": orNull(e.Param), "code": orNull(e.Code)}})
}

// errorNumber is the body of vLLM and llama.cpp: the code is the status.
func errorNumber(e Error, message string) []byte {
	return toJSON(object{"error": object{"message": message, "type": e.typeOr("BadRequestError"), "param": nil, "code": e.status()}})
}

// errorFlat is SGLang's and Mistral's body: no "error" around it.
func errorFlat(e Error, message string) []byte {
	return toJSON(object{"object": "error", "message": message, "type": e.typeOr("invalid_request_error"), "param": orNull(e.Param), "code": orNull(e.Code)})
}

// errorCode is GLM's body.
func errorCode(e Error, message string) []byte {
	return toJSON(object{"error": object{"code": e.Code, "message": message}})
}

// errorBaseResp is MiniMax's body, which comes with status 200.
func errorBaseResp(_ Error, message string) []byte {
	return toJSON(object{"id": "0", "choices": nil, "created": 0, "model": "", "object": "", "usage": nil,
		"base_resp": object{"status_code": 2013, "status_msg": message}})
}

// errorDetail is FastAPI's list of faults; the param is the key.
func errorDetail(e Error, message string) []byte {
	return toJSON(object{"detail": []object{{"type": e.Type, "loc": []any{"body", e.Param}, "msg": message, "input": "…"}}})
}

// errorForbidden is Mistral's answer to keys it does not know; the message is the key.
func errorForbidden(_ Error, message string) []byte {
	return toJSON(object{"object": "error", "message": object{"detail": []object{
		{"type": "extra_forbidden", "loc": []string{"body", message}, "msg": "Extra inputs are not permitted", "input": "…"},
	}}, "type": "invalid_request_error", "param": nil, "code": nil})
}

// errorGoogle is Gemini's body, an array of one.
func errorGoogle(e Error, message string) []byte {
	return toJSON([]object{{"error": object{"code": e.status(), "message": message, "status": "INVALID_ARGUMENT"}}})
}

// errorXAI is xAI's body.
func errorXAI(_ Error, message string) []byte {
	return toJSON(object{"code": "Client specified an invalid argument", "error": message})
}

// errorRouter is OpenRouter's body.
func errorRouter(e Error, message string) []byte {
	return toJSON(object{"error": object{"message": message, "code": e.status()}, "user_id": "user_x"})
}

// invalid is an error of status 400. %s in the message stands for what was found.
func invalid(message string) Error { return Error{Message: message} }

func (e Error) with(typ, code, param string) Error {
	e.Type, e.Code, e.Param = typ, code, param
	return e
}

func (e Error) as(status int, form ErrorForm) Error {
	e.Status, e.Form = status, form
	return e
}
