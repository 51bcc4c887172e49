/** How long a token is good, in seconds. */
export const TOKEN_LIFE_S = 900
