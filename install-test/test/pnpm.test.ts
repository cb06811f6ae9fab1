import { combinations } from "./combinations.ts";

combinations("pnpm");
