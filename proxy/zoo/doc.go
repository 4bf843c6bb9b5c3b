// Package zoo has a scripted chat server for each family of Chat Completions
// servers: it refuses what the family is known to refuse, in the family's words, and
// answers with the family's habits. It is for tests: of what the proxy makes of such
// servers, of what it learns from them, and of what antiphon probe finds out.
//
// A member is data: a list of rules (rule.go), each with its evidence, and habits
// (habits.go). Nothing asks for a member's name. The package knows nothing of
// translate's dialects, so that it can contradict them.
//
// Behind all of them is the same small model (model.go), which does what it is told:
//
//   - it says "echo: " and what the user said last;
//   - "CALL f g" in it makes it call the tools f and g, tool_choice "required" the
//     first there is, and a named one that;
//   - after the results of calls it says "results: " and what they were;
//   - "SYSTEM" makes it add what the system messages say;
//   - it says how many images there are, thinks before it answers where the family
//     thinks, and gives an object where the request asks for JSON.
//
// Where is …?
//
//	a member that listens                     server.go
//	what a request says, as a server reads it request.go
//	which rules a member has                  rule.go, common.go
//	how its replies differ                    habits.go, write.go
//	how it refuses                            errors.go
//	the model behind all of them              model.go
//	the members                               family_*.go
package zoo
