import { combinations } from "./combinations.ts";

combinations("npm");
