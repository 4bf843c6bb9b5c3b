// Chat applications with a chat backend.
import { chatSuite } from './lib/chat-suite.mjs';
import { useStage } from './lib/stage.mjs';

chatSuite(useStage());
