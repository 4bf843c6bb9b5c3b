package translate

// The samples that docs/COMPATIBILITY.md is made from.

// sample is a piece of a request, and what it is called in the tables.
type sample struct{ name, json string }

// paramSamples have a value that is not the default for each parameter.
var paramSamples = map[param]string{
	pModel:                `"m"`,
	pInput:                `"Hi"`,
	pPreviousResponseID:   `"resp_1"`,
	pPrompt:               `{"id":"pmpt_1"}`,
	pModeration:           `{"model":"omni-moderation-latest"}`,
	pInclude:              `["message.output_text.logprobs"]`,
	pTools:                `[{"type":"function","name":"f"}]`,
	pToolChoice:           `"auto"`,
	pMetadata:             `{"k":"v"}`,
	pText:                 `{"verbosity":"low"}`,
	pTemperature:          `0.5`,
	pTopP:                 `0.5`,
	pPresencePenalty:      `0.5`,
	pFrequencyPenalty:     `0.5`,
	pParallelToolCalls:    `false`,
	pStream:               `true`,
	pStreamOptions:        `{"include_obfuscation":false}`,
	pBackground:           `true`,
	pMaxOutputTokens:      `100`,
	pMaxToolCalls:         `3`,
	pReasoning:            `{"effort":"low"}`,
	pUser:                 `"u"`,
	pSafetyIdentifier:     `"s"`,
	pPromptCacheOptions:   `{"mode":"implicit"}`,
	pPromptCacheKey:       `"k"`,
	pPromptCacheRetention: `"24h"`,
	pTruncation:           `"auto"`,
	pInstructions:         `"Be brief."`,
	pStore:                `false`,
	pServiceTier:          `"flex"`,
	pTopLogprobs:          `2`,
	pContextManagement:    `[{"type":"compaction"}]`,
	pConversation:         `"conv_1"`,
	pAccessPrograms:       `{"cyber":"standard"}`,
	pImage:                `{"context_compression":"auto"}`,
	pMultiAgent:           `{}`,
	pLog:                  `true`,
}

// paramNotes say what is done with a parameter here, where the backend does not
// get it.
var paramNotes = map[param]string{
	pPreviousResponseID: "the stored turns are sent before the input",
	pConversation:       "the conversation's items are sent before the input",
	pInclude:            "what is asked for is put into the answer",
	pToolChoice:         "see below; without tools there is nothing to choose",
	pMetadata:           "kept with the response",
	pParallelToolCalls:  "with tools; held to where the backend is not",
	pStreamOptions:      "obfuscation is made here",
	pStore:              "the response is kept here, or not",
	pTruncation:         "when the backend says that the context is full, the oldest turns are left out and it is asked again",
	pMaxToolCalls:       "counts calls of built-in tools, of which there are none; echoed",
	pTopLogprobs:        "with `include`; alone it has no effect, as with OpenAI",
	pAccessPrograms:     "anything but `standard` is 403",
	pLog:                "a trace of this request in the server's log; never sent",
	pMultiAgent:         "",
}

var docTools = []sample{
	{"function", `{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}`},
	{"function, strict", `{"type":"function","name":"f","strict":true,"parameters":{"type":"object","properties":{},"required":[],"additionalProperties":false}}`},
	{"custom", `{"type":"custom","name":"c"}`},
	{"custom with a grammar", `{"type":"custom","name":"c","format":{"type":"grammar","syntax":"regex","definition":"a+"}}`},
	{"namespace", `{"type":"namespace","name":"n","description":"Tools.","tools":[{"type":"function","name":"f"}]}`},
	{"tool_search", `{"type":"tool_search"}`},
	{"tool_search, execution client", `{"type":"tool_search","execution":"client","description":"Find tools.","parameters":{"type":"object","properties":{}}}`},
	{"apply_patch", `{"type":"apply_patch"}`},
	{"shell, local", `{"type":"shell","environment":{"type":"local"}}`},
	{"shell in a container", `{"type":"shell","environment":{"type":"container_auto"}}`},
	{"local_shell", `{"type":"local_shell"}`},
	{"web_search", `{"type":"web_search"}`},
	{"file_search", `{"type":"file_search","vector_store_ids":["vs_1"]}`},
	{"code_interpreter", `{"type":"code_interpreter","container":{"type":"auto"}}`},
	{"image_generation", `{"type":"image_generation"}`},
	{"computer", `{"type":"computer"}`},
	{"mcp", `{"type":"mcp","server_label":"s","server_url":"https://example.com"}`},
	{"programmatic_tool_calling", `{"type":"programmatic_tool_calling"}`},
	{"a type that nobody knows", `{"type":"of_tomorrow"}`},
}

var docChoices = []sample{
	{"none", `"none"`},
	{"auto", `"auto"`},
	{"required", `"required"`},
	{"a function by name", `{"type":"function","name":"f"}`},
	{"allowed_tools", `{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}`},
	{"allowed_tools, required", `{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]}`},
	{"a hosted tool", `{"type":"web_search_preview"}`},
}

var docFormats = []sample{
	{"text", `{"type":"text"}`},
	{"json_object", `{"type":"json_object"}`},
	{"json_schema", `{"type":"json_schema","name":"n","schema":{"type":"object"}}`},
}

var docParts = []sample{
	{"input_text", `{"type":"input_text","text":"x"}`},
	{"input_image, URL", `{"type":"input_image","image_url":"https://example.com/a.png"}`},
	{"input_image, data", `{"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"original"}`},
	{"input_image, file_id", `{"type":"input_image","file_id":"file_1"}`},
	{"input_file, data", `{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}`},
	{"input_file, URL", `{"type":"input_file","file_url":"https://example.com/a.pdf"}`},
	{"input_file, file_id", `{"type":"input_file","file_id":"file_1"}`},
	{"input_audio", `{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}`},
}

// docItems have what an item needs beyond its type.
var docItems = map[string]string{
	"message":                 `"role":"user","content":"x"`,
	"reasoning":               `"id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"t"}]`,
	"function_call":           `"call_id":"c","name":"f","arguments":"{}"`,
	"function_call_output":    `"call_id":"c","output":"x"`,
	"item_reference":          `"id":"msg_1"`,
	"custom_tool_call":        `"call_id":"c","name":"f","input":"x"`,
	"custom_tool_call_output": `"call_id":"c","output":"x"`,
	"shell_call":              `"call_id":"c","action":{"commands":["ls"]}`,
	"shell_call_output":       `"call_id":"c","output":[{"stdout":"x","stderr":"","outcome":{"type":"exit","exit_code":0}}]`,
	"local_shell_call":        `"call_id":"c","action":{"type":"exec","command":["ls"],"env":{}}`,
	"local_shell_call_output": `"call_id":"c","output":"x"`,
	"apply_patch_call":        `"call_id":"c","status":"completed","operation":{"type":"delete_file","path":"a"}`,
	"apply_patch_call_output": `"call_id":"c","status":"completed","output":"x"`,
	"tool_search_call":        `"call_id":"c","execution":"client","arguments":{}`,
	"tool_search_output":      `"call_id":"c","execution":"client","tools":[]`,
	"compaction":              `"encrypted_content":"sealed:{'v':1,'keep':'all','model':'m','summary':'S'}"`,
	"additional_tools":        `"role":"developer","tools":[{"type":"function","name":"g"}]`,
	"configuration_update":    `"reasoning":{"effort":"low"}`,
	"agent_message":           `"author":"/a","recipient":"/","content":[{"type":"input_text","text":"x"}]`,
	"computer_call":           `"call_id":"c","action":{"type":"screenshot"}`,
	"computer_call_output":    `"call_id":"c","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,AAAA"}`,
	"web_search_call":         `"id":"ws_1","status":"completed","action":{"type":"search","query":"x"}`,
	"file_search_call":        `"id":"fs_1","status":"completed","queries":["x"]`,
	"code_interpreter_call":   `"id":"ci_1","status":"completed","code":"x","outputs":[]`,
	"image_generation_call":   `"id":"ig_1","status":"completed","result":"AAAA"`,
	"mcp_list_tools":          `"id":"mcpl_1","server_label":"s","tools":[]`,
	"mcp_call":                `"id":"mcp_1","server_label":"s","name":"t","arguments":"{}","output":"x"`,
	"mcp_approval_request":    `"id":"mcpr_1","server_label":"s","name":"t","arguments":"{}"`,
	"mcp_approval_response":   `"approval_request_id":"mcpr_1","approve":true`,
	"program":                 `"call_id":"c","code":"x"`,
	"program_output":          `"call_id":"c","result":"x"`,
	"multi_agent_call":        `"call_id":"c","action":"x"`,
	"multi_agent_call_output": `"call_id":"c","output":"x"`,
}

// callOf is the call that an output's sample answers.
var callOf = map[string]string{
	"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call",
	"shell_call_output": "shell_call", "local_shell_call_output": "local_shell_call",
	"apply_patch_call_output": "apply_patch_call", "tool_search_output": "tool_search_call",
	"computer_call_output": "computer_call", "mcp_approval_response": "mcp_approval_request",
	"program_output": "program", "multi_agent_call_output": "multi_agent_call",
}
