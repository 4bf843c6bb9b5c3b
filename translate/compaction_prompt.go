package translate

// The words of compaction: what a model is told to write about a conversation,
// and how another is shown what it wrote.

// handOverPrompt asks for the summary. It comes as the user's, after all that is
// to be summarized, because not every model listens to a late system message.
const handOverPrompt = `The context of this conversation is nearly full. Do not go on with the conversation and do not call any tool. ` +
	`Instead write a hand-over: the next assistant will see this hand-over and the user's messages from now on, and nothing ` +
	`else of what has been said. It must be able to go on as if it had been there.

Write down, under these headings, and leave out a heading that has nothing under it:

Goal: what the user wants in the end, and what was asked last, in the user's own words where they matter.
Rules: every instruction, preference, constraint and decision that still holds.
Facts: names, numbers, dates, identifiers, paths, addresses, quotations and results of tools that may be needed again, exactly as they were.
Done: what has been done and found out, also what was tried and failed, and why.
State: where things stand now; files and resources that exist or were changed; calls or questions that wait for an answer.
Next: what is to be done next.

Be complete before being short: whatever is not in the hand-over is lost. Do not invent anything, do not address anybody, ` +
	`and write in the language of the conversation. If an earlier hand-over is above, take over what still holds.`

// Around a summary, where it stands for what was said before.
const (
	summaryBefore = "What was said earlier in this conversation is not shown any more. An assistant that took part in it has left " +
		"this hand-over. Rely on it, go on from there, and do not repeat what is done.\n\n<hand_over>\n"
	summaryAfter = "\n</hand_over>"
)

// goOn is said for the user when a summary is all that is left to answer to.
const goOn = "Go on."
