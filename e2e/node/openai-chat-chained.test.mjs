// The same with two proxies in a chain: chat → Responses → chat.
import { chatSuite } from './lib/chat-suite.mjs';
import { useStage } from './lib/stage.mjs';

chatSuite(useStage({ chained: true }), { chained: true });
