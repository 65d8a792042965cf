"""English: phrases, words to recognise, and the rules of the local LLM."""
