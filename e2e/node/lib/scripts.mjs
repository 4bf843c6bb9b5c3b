// What the model plays in several tests.
import { z } from 'zod';

/** A text with characters of all widths. */
export const rainy = 'Rain in Łódź 🌧 today, 18 °C — 「傘」 needed.';

/** A tool loop: two calls at once, an answer from their results, a goodbye. */
export const forecast = {
  replies: [
    {
      reasoning: 'Two cities, two calls.',
      text: 'I will look.',
      interleave: true,
      calls: [
        { id: 'call_oslo', name: 'get_weather', arguments: '{"city":"Oslo"}' },
        { id: 'call_rome', name: 'get_weather', arguments: '{"city":"Rome"}' },
      ],
    },
    { text: 'The forecast: {{tools}}.' },
    { text: 'You are welcome.' },
  ],
};

export const forecastText = 'The forecast: snow and sun.';

/** What the tool answers. */
export const weatherIn = ({ city }) => ({ Oslo: 'snow', Rome: 'sun' })[city] ?? `no weather in ${city}`;

export const cityArguments = z.object({ city: z.string() });

export const weatherTool = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather in a city.',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};

/** runTools answers the calls of a response. */
export function runTools(response) {
  return response.output
    .filter((item) => item.type === 'function_call')
    .map((call) => ({
      type: 'function_call_output',
      call_id: call.call_id,
      output: weatherIn(JSON.parse(call.arguments)),
    }));
}
