// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ISettlement} from "../src/interfaces/ISettlement.sol";
import {ISumVerifier} from "../src/interfaces/ISumVerifier.sol";
import {Payouts} from "./base/Payouts.sol";
import {Rounds} from "./base/Rounds.sol";
import {Test, vm} from "./base/Test.sol";
import {Digests, Trees, Words} from "./base/Trees.sol";

/// @notice A commit and what its programme says of it, around a verifier that ships.
abstract contract VerifierFixture is Test {
    using Rounds for Rounds.World;

    uint256 internal constant PRIME = 1_152_921_504_606_830_593;
    uint256 internal constant TWO_64 = 1 << 64;
    ISumVerifier internal verifier;
    address internal coordinator = someone("coordinator");
    address internal settlement = someone("settlement");
    bytes32 internal domain = keccak256("domain");

    function setUp() public virtual {
        verifier = ISumVerifier(vm.deployCode("SumVerifier.sol:SumVerifier"));
    }

    function shapeOf(uint256 slots, uint256 chunks, uint256 perChunk, uint256 inLast, uint256 modulus)
        internal
        pure
        returns (Rounds.Shape memory)
    {
        return Rounds.Shape(slots, chunks, perChunk, inLast, modulus);
    }

    function smallShape(uint256 seed) internal pure returns (Rounds.Shape memory shape) {
        shape.slots = 1 + seed % 7;
        shape.chunks = 1 + (seed >> 8) % 2;
        shape.perChunk = 1 + (seed >> 16) % 2;
        shape.inLast = 1 + (seed >> 24) % shape.perChunk;
        uint256[4] memory moduli = [PRIME, TWO_64, (1 << 63) + 29, 3];
        shape.modulus = moduli[(seed >> 32) % 4];
    }

    function honest(Rounds.Shape memory shape) internal pure returns (Rounds.World memory) {
        return Rounds.make(shape, "seed", nothing(), Rounds.NOWHERE);
    }

    function nothing() internal pure returns (Rounds.Lie memory lie) {
        lie.place = Rounds.NOWHERE;
    }

    function contextOf(Rounds.World memory made) internal view returns (ISumVerifier.Context memory context) {
        context.chainId = 1;
        context.settlement = settlement;
        context.domain = domain;
        context.coordinator = coordinator;
        context.arithmetic = sha256(made.arithmetic);
        context.leavesPerChunk = uint32(made.shape.perChunk);
        context.lastChunkLeaves = uint32(made.shape.inLast);
        context.commit.programme = "programme";
        context.commit.round = 5;
        context.commit.budget = 1_000;
        context.commit.scores = 7;
        made.commitTo(context.commit);
    }

    function guilty(ISumVerifier.Context memory context, ISumVerifier.Kind kind, bytes memory proof)
        internal
        view
        returns (bool)
    {
        return verifier.verdict(context, kind, proof);
    }

    function isGuilty(Rounds.World memory made, ISumVerifier.BadSum memory proof) internal view returns (bool) {
        return guilty(contextOf(made), ISumVerifier.Kind.BadSum, abi.encode(proof));
    }

    function isGuilty(Rounds.World memory made, ISumVerifier.BadLeaf memory proof) internal view returns (bool) {
        return guilty(contextOf(made), ISumVerifier.Kind.BadLeaf, abi.encode(proof));
    }

    function isGuilty(Rounds.World memory made, ISumVerifier.BadTop memory proof) internal view returns (bool) {
        return guilty(contextOf(made), ISumVerifier.Kind.BadTop, abi.encode(proof));
    }
}

/// @notice Every wrong addition is provable, and nothing else is.
contract SumsTest is VerifierFixture {
    using Rounds for Rounds.World;

    /// @notice With whatever proof of whatever place: true words, true paths, no guilt.
    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function testFuzz_an_honest_round_is_never_guilty(uint256 seed) public view {
        Rounds.World memory made = honest(smallShape(seed));
        uint256 place = uint256(keccak256(abi.encode(seed))) % Rounds.placesOf(made.shape);

        for (uint256 level = 1; level < made.trees[place].length; level++) {
            for (uint256 i = 0; 2 * i + 1 < made.trees[place][level - 1].length; i++) {
                vm.assertTrue(!isGuilty(made, made.badSum(place, level, i)), "sum");
            }
        }
        for (uint256 slot = 0; slot < made.shape.slots; slot++) {
            vm.assertTrue(!isGuilty(made, made.badLeaf(place, slot)), "leaf");
        }
        vm.assertTrue(!isGuilty(made, made.badTop(place)), "top");
    }

    /// @notice A true proof with any one bit turned proves nothing either: it is refused, or not guilty.
    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function testFuzz_a_forged_proof_proves_nothing(uint256 seed, uint256 bit) public view {
        Rounds.World memory made = honest(smallShape(seed));
        uint256 place = seed % Rounds.placesOf(made.shape);
        bytes memory proof = abi.encode(made.badLeaf(place, seed % made.shape.slots));
        uint256 kind = 1;
        if (seed % 3 == 0) (kind, proof) = (2, abi.encode(made.badTop(place)));
        if (seed % 3 == 1 && made.shape.slots > 1) (kind, proof) = (0, abi.encode(made.badSum(place, 1, 0)));
        bit %= 8 * proof.length;
        proof[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));

        (bool done, bytes memory answer) = address(verifier).staticcall(
            abi.encodeCall(ISumVerifier.verdict, (contextOf(made), ISumVerifier.Kind(kind), proof))
        );

        vm.assertTrue(!done || !abi.decode(answer, (bool)), "an honest coordinator was found guilty");
    }

    /// @notice Every single word of every sum: the node that is wrong is proved, and no other.
    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function testFuzz_each_wrong_word_of_a_sum_is_guilty(uint256 seed, uint256 where, uint256 by) public view {
        Rounds.Shape memory shape = smallShape(seed);
        if (shape.slots == 1) shape.slots = 2;
        Rounds.Lie memory lie;
        lie.place = where % Rounds.placesOf(shape);
        lie.level = 1 + (where >> 32) % Rounds.heightOf(shape.slots);
        lie.index = (where >> 64) % (((shape.slots - 1) >> lie.level) + 1);
        // A node that was carried up has no sum of its own: the one to its left has.
        if (((2 * lie.index + 1) << (lie.level - 1)) >= shape.slots) lie.index--;
        lie.word = (where >> 96) % 256;
        lie.by = within(by, 1, shape.modulus - 1);

        Rounds.World memory made = Rounds.make(shape, "seed", lie, Rounds.NOWHERE);

        for (uint256 level = 1; level < made.trees[lie.place].length; level++) {
            for (uint256 i = 0; 2 * i + 1 < made.trees[lie.place][level - 1].length; i++) {
                bool here = level == lie.level && i == lie.index;
                vm.assertTrue(isGuilty(made, made.badSum(lie.place, level, i)) == here, "exactly the wrong node");
            }
        }
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function testFuzz_each_wrong_word_of_a_leaf_is_guilty(uint256 seed, uint256 where, uint256 by) public view {
        Rounds.Shape memory shape = smallShape(seed);
        Rounds.Lie memory lie;
        lie.place = where % Rounds.placesOf(shape);
        lie.index = (where >> 64) % shape.slots;
        lie.word = (where >> 96) % 256;
        lie.by = within(by, 1, shape.modulus - 1);

        Rounds.World memory made = Rounds.make(shape, "seed", lie, Rounds.NOWHERE);

        for (uint256 slot = 0; slot < shape.slots; slot++) {
            vm.assertTrue(isGuilty(made, made.badLeaf(lie.place, slot)) == (slot == lie.index), "exactly this slot");
        }
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function testFuzz_another_sum_than_the_tops_is_guilty(uint256 seed) public view {
        Rounds.Shape memory shape = smallShape(seed);
        uint256 lie = (seed >> 64) % Rounds.placesOf(shape);

        Rounds.World memory made = Rounds.make(shape, "seed", nothing(), lie);

        for (uint256 place = 0; place < made.sums.length; place++) {
            vm.assertTrue(isGuilty(made, made.badTop(place)) == (place == lie), "exactly this place");
        }
    }

    /// @notice Words above the modulus in a child are guilt by themselves: no coordinator may add them.
    function test_a_sum_over_words_that_are_not_canonical_is_guilty() public view {
        Rounds.World memory made = honest(shapeOf(2, 1, 1, 1, PRIME));
        Rounds.Node[][] memory tree = made.trees[0];
        uint256[] memory words = tree[0][1].words;
        words[255] += PRIME;
        replant(made, 0, words);

        vm.assertTrue(isGuilty(made, made.badSum(0, 1, 0)), "guilty");
    }

    /// @dev Slot 1 of two has these words; the sum is what their residues amount to.
    function replant(Rounds.World memory made, uint32 modulusIndex, uint256[] memory words) private pure {
        Rounds.Node[][] memory tree = made.trees[0];
        bytes32 own = Digests.leaf(0, 0, modulusIndex, Words.pack(words));
        tree[0][1] = Rounds.Node(own, own, words, 0, 0, false);
        tree[1][0].right = own;
        tree[1][0].hash = Digests.sumNode(tree[1][0].left, own, tree[1][0].own);
        made.tops[0] = tree[1][0].hash;
    }

    function test_a_sum_of_words_under_two_moduli_is_guilty() public view {
        Rounds.World memory made = honest(shapeOf(2, 1, 1, 1, PRIME));
        replant(made, 1, made.trees[0][0][1].words);
        ISumVerifier.BadSum memory proof = made.badSum(0, 1, 0);
        vm.assertTrue(!isGuilty(made, proof), "not as it was claimed");
        proof.rightModulus = 1;

        vm.assertTrue(isGuilty(made, proof), "guilty");
    }

    function test_words_under_a_modulus_that_the_chunk_does_not_have_are_guilty() public view {
        Rounds.World memory made = honest(shapeOf(2, 1, 1, 1, PRIME));
        Rounds.Node[][] memory tree = made.trees[0];
        for (uint256 i = 0; i < 2; i++) {
            bytes32 own = Digests.leaf(0, 0, 9, Words.pack(tree[0][i].words));
            tree[0][i] = Rounds.Node(own, own, tree[0][i].words, 0, 0, false);
        }
        (tree[1][0].left, tree[1][0].right) = (tree[0][0].hash, tree[0][1].hash);
        tree[1][0].hash = Digests.sumNode(tree[0][0].hash, tree[0][1].hash, tree[1][0].own);
        made.tops[0] = tree[1][0].hash;
        ISumVerifier.BadSum memory proof = made.badSum(0, 1, 0);
        (proof.leftModulus, proof.rightModulus) = (9, 9);

        vm.assertTrue(isGuilty(made, proof), "guilty");
    }

    /// @notice A proof that leads elsewhere, is too long or is of no place is the challenger's fault.
    function test_a_proof_that_does_not_lead_to_the_commit_is_not_guilt() public view {
        Rounds.Lie memory lie = Rounds.Lie(1, 1, 0, 3, 1);
        Rounds.World memory made = Rounds.make(shapeOf(3, 2, 2, 1, PRIME), "seed", lie, Rounds.NOWHERE);
        vm.assertTrue(isGuilty(made, made.badSum(1, 1, 0)), "the true proof");

        for (uint256 i = 0; i < 13; i++) {
            ISumVerifier.BadSum memory proof = made.badSum(1, 1, 0);
            if (i == 0) proof.chunk = 2;
            if (i == 1) proof.leaf = 2;
            if (i == 2) proof.level = 0;
            if (i == 3) proof.level = 33;
            if (i == 4) proof.index = 1;
            if (i == 5) proof.left = new bytes(2_047);
            if (i == 6) proof.right = new bytes(2_049);
            if (i == 7) proof.steps = Rounds.both(proof.steps, Rounds.one(0));
            if (i == 8) proof.steps[0] = ~proof.steps[0];
            if (i == 9) proof.arithmetic = "another";
            if (i == 10) (proof.chunk, proof.leaf) = (1, 1);
            if (i == 11) proof.steps = new bytes32[](0);
            if (i == 12) proof.level = 2;
            vm.assertTrue(!isGuilty(made, proof), "not guilty");
        }
    }

    function test_a_leaf_that_is_nowhere_is_not_guilt() public view {
        Rounds.Lie memory lie = Rounds.Lie(0, 0, 1, 3, 1);
        Rounds.World memory made = Rounds.make(shapeOf(3, 2, 2, 1, PRIME), "seed", lie, Rounds.NOWHERE);
        vm.assertTrue(isGuilty(made, made.badLeaf(0, 1)), "the true proof");

        for (uint256 i = 0; i < 9; i++) {
            ISumVerifier.BadLeaf memory proof = made.badLeaf(0, 1);
            if (i == 0) proof.chunk = 2;
            if (i == 1) proof.leaf = 2;
            if (i == 2) proof.slot = 3;
            if (i == 3) proof.slotId += 1;
            if (i == 4) proof.inTree = ~proof.inTree;
            if (i == 5) proof.inContribution = ~proof.inContribution;
            if (i == 6) proof.steps = Rounds.both(proof.steps, Rounds.one(0));
            if (i == 7) proof.arithmetic = "another";
            if (i == 8) proof.steps[0] = ~proof.steps[0];
            vm.assertTrue(!isGuilty(made, proof), "not guilty");
        }
    }

    function test_a_top_that_is_nowhere_is_not_guilt() public view {
        Rounds.World memory made = Rounds.make(shapeOf(3, 2, 2, 1, PRIME), "seed", nothing(), 0);
        vm.assertTrue(isGuilty(made, made.badTop(0)), "the true proof");

        for (uint256 i = 0; i < 6; i++) {
            ISumVerifier.BadTop memory proof = made.badTop(0);
            if (i == 0) proof.chunk = 2;
            if (i == 1) proof.leaf = 2;
            if (i == 2) proof.inSum = ~proof.inSum;
            if (i == 3) proof.steps = Rounds.both(proof.steps, Rounds.one(0));
            if (i == 4) proof.arithmetic = "another";
            if (i == 5) proof.steps[2] = ~proof.steps[2];
            vm.assertTrue(!isGuilty(made, proof), "not guilty");
        }
        ISumVerifier.Context memory context = contextOf(made);
        context.commit.slots = 0;
        bytes memory body = abi.encode(made.badTop(0));
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadTop, body), "no slots, no top");
    }

    /// @notice Under shares a published word would be plaintext to a seat: no words are judged.
    function test_under_shares_words_are_not_judged() public view {
        Rounds.Lie memory lie = Rounds.Lie(0, 1, 0, 3, 1);
        Rounds.World memory made = Rounds.make(shapeOf(2, 1, 1, 1, PRIME), "seed", lie, 0);
        made.arithmetic = Rounds.arithmeticOf("shares/1", made.shape);

        vm.assertTrue(!isGuilty(made, made.badSum(0, 1, 0)), "no sums");
        vm.assertTrue(!isGuilty(made, made.badLeaf(0, 0)), "no leaves");
        vm.assertTrue(!isGuilty(made, made.badTop(0)), "no tops");
    }

    function test_a_plan_of_no_dimension_has_no_places() public view {
        Rounds.World memory made = Rounds.make(shapeOf(1, 1, 1, 1, PRIME), "seed", nothing(), 0);
        uint128[4][] memory none = new uint128[4][](0);
        made.arithmetic = abi.encode(bytes32("ckks/1"), uint64(0), uint64(1), uint8(1), uint8(2), none);

        vm.assertTrue(!isGuilty(made, made.badTop(0)), "no place");
    }
}

/// @notice Whatever a committed hash is the hash of must have the form of its place.
contract MalformedTest is VerifierFixture {
    using Rounds for Rounds.World;

    function isGuilty(Rounds.World memory made, ISumVerifier.Malformed memory proof) private view returns (bool) {
        return guilty(contextOf(made), ISumVerifier.Kind.Malformed, abi.encode(proof));
    }

    /// @dev One slot, one chunk, one leaf: every root is the hash of `bytes` itself.
    function single(bytes memory body) private pure returns (Rounds.World memory made) {
        made = honest(shapeOf(1, 1, 1, 1, PRIME));
        made.sums[0] = sha256(body);
        made.tops[0] = sha256(body);
    }

    function words(ISumVerifier.Tree tree, bytes memory body, Rounds.World memory made)
        private
        pure
        returns (ISumVerifier.Malformed memory proof)
    {
        (proof.tree, proof.layer, proof.preimage) = (tree, ISumVerifier.Layer.Words, body);
        proof.arithmetic = made.arithmetic;
    }

    function goodWords() private pure returns (uint256[] memory) {
        return Words.draw("words", 256, PRIME);
    }

    function bytesOf(uint256 how) private pure returns (bytes memory made) {
        uint256[] memory list = goodWords();
        if (how == 1) list[0] = PRIME;
        if (how == 2) list[255] = type(uint64).max;
        made = Words.pack(list);
        bytes13 position = 0;
        if (how == 3) position = bytes13(uint104(1));
        if (how == 4) position = bytes13(uint104(1) << 32);
        if (how == 5) position = bytes13(uint104(1) << 64);
        if (how == 6) position = bytes13(uint104(1) << 96);
        if (how == 7) position = bytes13(uint104(5));
        if (how == 3) made = Words.pack(Words.draw("words", 256, 97));
        made = abi.encodePacked(position, made);
        if (how == 8) made = abi.encodePacked(made, uint8(0));
        if (how == 9) made = abi.encodePacked(bytes13(0), new bytes(2_040));
        if (how == 10) made = "";
    }

    /// @notice How 0 and 3 are good: words below the modulus of the index that they say.
    function test_words_are_of_their_length_place_and_modulus() public view {
        for (uint256 how = 0; how < 11; how++) {
            Rounds.World memory made = single(bytesOf(how));
            bool bad = how != 0 && how != 3;
            vm.assertTrue(isGuilty(made, words(ISumVerifier.Tree.PublishedSum, bytesOf(how), made)) == bad, "of the sum");
            vm.assertTrue(isGuilty(made, words(ISumVerifier.Tree.SumTrees, bytesOf(how), made)) == bad, "of a tree");
        }
    }

    function test_words_of_an_inner_node_are_looked_at_too() public view {
        for (uint256 how = 0; how < 2; how++) {
            Rounds.World memory made = honest(shapeOf(3, 2, 2, 1, PRIME));
            Rounds.Node memory node = made.trees[0][1][0];
            node.own = sha256(bytesOf(how));
            node.hash = Digests.sumNode(node.left, node.right, node.own);
            Rounds.Node memory top = made.trees[0][2][0];
            (top.left, top.hash) = (node.hash, Digests.sumNode(node.hash, top.right, top.own));
            made.tops[0] = top.hash;
            ISumVerifier.Malformed memory proof = words(ISumVerifier.Tree.SumTrees, bytesOf(how), made);
            proof.level = 1;
            proof.steps = Rounds.both(Rounds.children(node), Rounds.sumPath(made.trees[0], 1, 0));
            proof.steps = Rounds.both(proof.steps, Rounds.placePath(made.shape, made.tops, 0));
            vm.assertTrue(isGuilty(made, proof) == (how == 1), "by its words");
        }
    }

    function test_words_of_a_contribution_are_looked_at_too() public view {
        for (uint256 how = 0; how < 2; how++) {
            Rounds.World memory made = honest(shapeOf(3, 2, 2, 1, PRIME));
            made.owns[1][0] = sha256(bytesOf(how));
            made.contributions[1] = Rounds.rootOf(made.shape, made.owns[1]);
            made.slots[1] = Digests.slot(Rounds.slotId(1), made.contributions[1]);
            ISumVerifier.Malformed memory proof = words(ISumVerifier.Tree.Contribution, bytesOf(how), made);
            (proof.slot, proof.slotId) = (1, Rounds.slotId(1));
            proof.steps = Rounds.placePath(made.shape, made.owns[1], 0);
            proof.steps = Rounds.both(proof.steps, Trees.path(made.slots, 1));
            vm.assertTrue(isGuilty(made, proof) == (how == 1), "by its words");
            proof.slot = 3;
            vm.assertTrue(!isGuilty(made, proof), "no such slot");
        }
    }

    /// @dev 0 good, 1 another first byte, 2 too long, 3 nothing.
    function form(uint256 how, uint8 first, uint256 length) private pure returns (bytes memory made) {
        made = new bytes(how == 2 ? length + 1 : how == 3 ? 0 : length);
        if (how != 3) made[0] = bytes1(how == 1 ? first + 1 : first);
    }

    function test_an_inner_node_of_a_sum_tree_has_its_form() public view {
        for (uint256 how = 0; how < 4; how++) {
            bytes memory preimage = form(how, 2, 97);
            Rounds.World memory made = honest(shapeOf(2, 1, 1, 1, PRIME));
            made.tops[0] = sha256(preimage);
            ISumVerifier.Malformed memory proof = words(ISumVerifier.Tree.SumTrees, preimage, made);
            (proof.layer, proof.level) = (ISumVerifier.Layer.Sums, 1);
            vm.assertTrue(isGuilty(made, proof) == (how != 0), "by its form");
            proof.tree = ISumVerifier.Tree.PublishedSum;
            vm.assertTrue(!isGuilty(made, proof), "a sum has no such node");
        }
    }

    function test_an_inner_node_over_leaves_and_over_chunks_has_its_form() public view {
        for (uint256 how = 0; how < 4; how++) {
            bytes memory preimage = form(how, 1, 65);
            Rounds.World memory made = honest(shapeOf(1, 1, 2, 2, PRIME));
            ISumVerifier.Malformed memory proof = words(ISumVerifier.Tree.PublishedSum, preimage, made);
            ISumVerifier.Context memory context = contextOf(made);
            context.commit.sum = sha256(preimage);
            (proof.layer, proof.level) = (ISumVerifier.Layer.Leaves, 1);
            vm.assertTrue(isGuiltyIn(context, proof) == (how != 0), "over leaves");
            proof.chunk = 1;
            vm.assertTrue(!isGuiltyIn(context, proof), "no such chunk");

            made = honest(shapeOf(1, 2, 1, 1, PRIME));
            proof = words(ISumVerifier.Tree.SumTrees, preimage, made);
            context = contextOf(made);
            context.commit.sumTrees = sha256(preimage);
            (proof.layer, proof.level) = (ISumVerifier.Layer.Chunks, 1);
            vm.assertTrue(isGuiltyIn(context, proof) == (how != 0), "over chunks");
        }
    }

    function isGuiltyIn(ISumVerifier.Context memory context, ISumVerifier.Malformed memory proof)
        private
        view
        returns (bool)
    {
        return guilty(context, ISumVerifier.Kind.Malformed, abi.encode(proof));
    }

    function test_a_node_of_the_cohort_has_its_form() public view {
        for (uint256 how = 0; how < 4; how++) {
            for (uint256 level = 0; level < 2; level++) {
                bytes memory preimage = level == 0 ? form(how, 4, 37) : form(how, 1, 65);
                ISumVerifier.Context memory context = contextOf(honest(shapeOf(1 + level, 1, 1, 1, PRIME)));
                context.commit.cohort = sha256(preimage);
                ISumVerifier.Malformed memory proof;
                (proof.tree, proof.layer) = (ISumVerifier.Tree.Cohort, ISumVerifier.Layer.Slots);
                (proof.level, proof.preimage) = (uint32(level), preimage);
                vm.assertTrue(isGuiltyIn(context, proof) == (how != 0), "by its form, whatever the scheme");
                proof.steps = new bytes32[](1);
                vm.assertTrue(!isGuiltyIn(context, proof), "no step too many");
                proof.steps = new bytes32[](0);
                proof.index = 2;
                vm.assertTrue(!isGuiltyIn(context, proof), "no such node");
                proof.index = 0;
                proof.tree = ISumVerifier.Tree.SumTrees;
                vm.assertTrue(!isGuiltyIn(context, proof), "another tree has no slots");
                (proof.tree, proof.layer) = (ISumVerifier.Tree.Cohort, ISumVerifier.Layer.Words);
                vm.assertTrue(!isGuiltyIn(context, proof), "the cohort has no words");
            }
        }
    }

    /// @notice Bytes that are not under the commit prove nothing, whatever their form.
    function test_bytes_that_lead_elsewhere_are_not_guilt() public view {
        Rounds.World memory made = single(bytesOf(1));
        for (uint256 i = 0; i < 7; i++) {
            ISumVerifier.Malformed memory proof = words(ISumVerifier.Tree.PublishedSum, bytesOf(1), made);
            if (i == 0) proof.preimage = bytesOf(2);
            if (i == 1) proof.steps = new bytes32[](1);
            if (i == 2) proof.level = 1;
            if (i == 3) proof.index = 1;
            if (i == 4) proof.chunk = 1;
            if (i == 5) proof.leaf = 1;
            if (i == 6) proof.arithmetic = "another";
            vm.assertTrue(!isGuilty(made, proof), "not guilty");
        }
    }
}

/// @notice A receipt is a promise that the contribution is in the cohort.
contract OmittedTest is VerifierFixture {
    function contextWith(uint256 slots, uint32[] memory ids) private view returns (ISumVerifier.Context memory context) {
        context = contextOf(honest(shapeOf(1, 1, 1, 1, PRIME)));
        context.commit.slots = uint32(slots);
        if (slots > 0) context.commit.cohort = Trees.root(nodes(ids));
    }

    function nodes(uint32[] memory ids) private pure returns (bytes32[] memory list) {
        list = new bytes32[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) list[i] = Digests.slot(ids[i], contribution(ids[i]));
    }

    function contribution(uint32 id) private pure returns (bytes32) {
        return keccak256(abi.encode("contribution", id));
    }

    function cohort() private pure returns (uint32[] memory ids) {
        ids = new uint32[](5);
        for (uint32 i = 0; i < 5; i++) ids[i] = 10 * (i + 1);
    }

    function proofOf(uint32[] memory ids, uint256 first, uint256 count, uint32 id, bytes32 root)
        private
        view
        returns (ISumVerifier.Omitted memory proof)
    {
        (proof.slotId, proof.contribution, proof.slot) = (id, root, uint32(first));
        proof.signature = receipt(id, root, "coordinator");
        proof.slots = new ISumVerifier.Slot[](count);
        for (uint256 i = 0; i < count; i++) {
            proof.slots[i] = ISumVerifier.Slot(ids[first + i], contribution(ids[first + i]));
            proof.steps = Rounds.both(proof.steps, Trees.path(nodes(ids), first + i));
        }
    }

    function receipt(uint32 id, bytes32 root, string memory signer) private view returns (bytes memory) {
        bytes32 kind = keccak256("Receipt(bytes32 programme,uint64 round,uint32 slotId,bytes32 contribution)");
        bytes32 inner = keccak256(abi.encode(kind, bytes32("programme"), uint64(5), id, root));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, inner));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keyOf(signer), digest);
        return abi.encodePacked(r, s, v);
    }

    function judged(ISumVerifier.Context memory context, ISumVerifier.Omitted memory proof) private view returns (bool) {
        return guilty(context, ISumVerifier.Kind.Omitted, abi.encode(proof));
    }

    function full() private view returns (ISumVerifier.Context memory) {
        return contextWith(5, cohort());
    }

    function test_a_contribution_that_is_there_was_not_omitted() public view {
        for (uint256 i = 0; i < 5; i++) {
            uint32 id = cohort()[i];
            vm.assertTrue(!judged(full(), proofOf(cohort(), i, 1, id, contribution(id))), "there");
        }
    }

    function test_another_contribution_in_its_place_is_guilty() public view {
        for (uint256 i = 0; i < 5; i++) {
            bytes32 own = keccak256("what was received");
            vm.assertTrue(judged(full(), proofOf(cohort(), i, 1, cohort()[i], own)), "altered");
        }
    }

    function test_a_contribution_between_two_neighbours_is_missing() public view {
        for (uint256 i = 0; i < 4; i++) {
            uint32 low = cohort()[i];
            vm.assertTrue(judged(full(), proofOf(cohort(), i, 2, low + 1, "mine")), "after the first");
            vm.assertTrue(judged(full(), proofOf(cohort(), i, 2, low + 9, "mine")), "before the second");
            vm.assertTrue(!judged(full(), proofOf(cohort(), i, 2, low, "mine")), "not at the first");
            vm.assertTrue(!judged(full(), proofOf(cohort(), i, 2, low + 10, "mine")), "nor at the second");
        }
    }

    function test_a_contribution_before_all_or_after_all_is_missing() public view {
        vm.assertTrue(judged(full(), proofOf(cohort(), 0, 1, 9, "mine")), "before all");
        vm.assertTrue(judged(full(), proofOf(cohort(), 4, 1, 51, "mine")), "after all");
        vm.assertTrue(!judged(full(), proofOf(cohort(), 1, 1, 9, "mine")), "the second is not the first");
        vm.assertTrue(!judged(full(), proofOf(cohort(), 3, 1, 51, "mine")), "the fourth is not the last");
        vm.assertTrue(!judged(full(), proofOf(cohort(), 0, 1, 11, "mine")), "beyond the first");
        vm.assertTrue(!judged(full(), proofOf(cohort(), 4, 1, 49, "mine")), "before the last");
    }

    function test_ids_that_do_not_rise_are_guilty_without_a_receipt() public view {
        uint32[] memory ids = cohort();
        ids[2] = ids[1];
        ISumVerifier.Omitted memory proof = proofOf(ids, 1, 2, 0, 0);
        proof.signature = "";
        vm.assertTrue(judged(contextWith(5, ids), proof), "twice");
        ids[2] = ids[1] - 1;
        proof = proofOf(ids, 1, 2, 0, 0);
        proof.signature = "";
        vm.assertTrue(judged(contextWith(5, ids), proof), "falling");
        proof = proofOf(cohort(), 1, 2, 0, 0);
        proof.signature = "";
        vm.assertTrue(!judged(full(), proof), "rising");
    }

    function test_a_receipt_is_the_coordinators_for_this_very_contribution() public view {
        ISumVerifier.Omitted memory proof = proofOf(cohort(), 0, 2, 15, "mine");
        proof.signature = receipt(15, "mine", "stranger");
        vm.assertTrue(!judged(full(), proof), "a stranger's");
        proof.signature = receipt(15, "another", "coordinator");
        vm.assertTrue(!judged(full(), proof), "for another contribution");
        proof.signature = receipt(16, "mine", "coordinator");
        vm.assertTrue(!judged(full(), proof), "for another slot");
        proof.signature = new bytes(64);
        vm.assertTrue(!judged(full(), proof), "none");
        ISumVerifier.Context memory context = full();
        context.commit.round = 6;
        vm.assertTrue(!judged(context, proofOf(cohort(), 0, 2, 15, "mine")), "of another round");
        context = full();
        context.domain = ~domain;
        vm.assertTrue(!judged(context, proofOf(cohort(), 0, 2, 15, "mine")), "of another chain or contract");
    }

    /// @notice A signature that recovers to nobody is not that of a coordinator nobody named.
    function test_garbage_is_not_the_signature_of_nobody() public view {
        ISumVerifier.Context memory context = full();
        context.coordinator = address(0);
        ISumVerifier.Omitted memory proof = proofOf(cohort(), 0, 2, 15, "mine");
        proof.signature = new bytes(65);
        vm.assertTrue(!judged(context, proof), "not guilty");
    }

    function test_a_proof_of_a_place_that_is_not_there_is_none() public view {
        ISumVerifier.Omitted memory proof = proofOf(cohort(), 0, 2, 15, "mine");
        proof.steps = Rounds.both(proof.steps, Rounds.one(0));
        vm.assertTrue(!judged(full(), proof), "a step too many");
        proof = proofOf(cohort(), 0, 2, 15, "mine");
        proof.slots[1].contribution = "forged";
        vm.assertTrue(!judged(full(), proof), "not under the root");
        proof = proofOf(cohort(), 4, 1, 51, "mine");
        proof.slot = 5;
        vm.assertTrue(!judged(full(), proof), "beyond the last");
        proof.slots = new ISumVerifier.Slot[](3);
        vm.assertTrue(!judged(full(), proof), "three");
        proof.slots = new ISumVerifier.Slot[](0);
        proof.steps = new bytes32[](0);
        vm.assertTrue(!judged(full(), proof), "none of five");
    }

    function test_an_empty_cohort_omits_everyone() public view {
        ISumVerifier.Context memory context = contextWith(0, cohort());
        ISumVerifier.Omitted memory proof = proofOf(cohort(), 0, 0, 15, "mine");
        vm.assertTrue(judged(context, proof), "guilty");
        proof.signature = "";
        vm.assertTrue(!judged(context, proof), "but to whom");
    }
}

/// @notice What is earned is the floor of budget times score by all scores, on top of what was before.
contract PayoutsTest is VerifierFixture {
    struct Case {
        uint128 score;
        uint256 earned;
        uint256 cumulative;
        uint256 before;
    }

    address private payee = someone("site");

    function payoutOf(uint256 cumulative, bytes32 entry, bytes32 other)
        private
        view
        returns (ISumVerifier.Payout memory made, bytes32 root)
    {
        made.cumulative = cumulative;
        made.salt = "salt";
        made.entry = entry;
        // The leaf of another payee beside it.
        made.steps = Rounds.one(other);
        root = Payouts.pair(leafOf(made), other);
    }

    function leafOf(ISumVerifier.Payout memory made) private view returns (bytes32) {
        bytes memory body = abi.encode(
            Payouts.LEAF, uint256(1), settlement, bytes32("programme"), payee, made.cumulative, made.salt, made.entry
        );
        return keccak256(bytes.concat(keccak256(body)));
    }

    function entryOf(uint64 round, uint128 score, uint256 earned) private pure returns (bytes memory) {
        return abi.encode(Payouts.SCORE, round, score, earned, bytes32("salt of the entry"));
    }

    function accuse(ISumVerifier.Fault fault, Case memory of_, bytes memory entry)
        private
        view
        returns (ISumVerifier.Context memory context, ISumVerifier.BadPayout memory proof)
    {
        context = contextOf(honest(shapeOf(1, 1, 1, 1, PRIME)));
        (proof.fault, proof.payee, proof.entry) = (fault, payee, entry);
        (proof.payout, context.commit.payouts) = payoutOf(of_.cumulative, keccak256(entry), keccak256("b"));
        (proof.other, context.payoutsBefore) = payoutOf(of_.before, "earlier", keccak256("a"));
    }

    function judged(ISumVerifier.Fault fault, Case memory of_, bytes memory entry) private view returns (bool) {
        (ISumVerifier.Context memory context, ISumVerifier.BadPayout memory proof) = accuse(fault, of_, entry);
        return guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof));
    }

    /// @notice Budget 1,000 and 7 in all: each score has one right amount, and every other is guilty.
    function testFuzz_earned_is_by_the_formula(uint256 score, uint256 earned) public view {
        score = within(score, 0, 9);
        earned = within(earned, 0, 1_100);
        uint256 right = 1_000 * score / 7;
        bool bad = score > 7 || earned != right;
        bytes memory entry = entryOf(5, uint128(score), earned);

        vm.assertTrue(
            judged(ISumVerifier.Fault.Formula, Case(uint128(score), earned, earned + 3, 3), entry) == bad, "formula"
        );
        if (score <= 7) {
            entry = entryOf(5, uint128(score), right);
            vm.assertTrue(!judged(ISumVerifier.Fault.Formula, Case(0, right, right, 0), entry), "the right amount");
        }
    }

    /// @notice More than all the scores is no part of them, though its amount be by the formula.
    function test_no_score_is_above_all_of_them() public view {
        vm.assertTrue(!judged(ISumVerifier.Fault.Formula, Case(7, 1_000, 1_003, 3), entryOf(5, 7, 1_000)), "all");
        vm.assertTrue(judged(ISumVerifier.Fault.Formula, Case(8, 1_142, 1_145, 3), entryOf(5, 8, 1_142)), "above");
    }

    function test_an_entry_has_its_form_and_its_round() public view {
        Case memory of_ = Case(7, 1_000, 1_000, 0);
        vm.assertTrue(!judged(ISumVerifier.Fault.Formula, of_, entryOf(5, 7, 1_000)), "right");
        vm.assertTrue(judged(ISumVerifier.Fault.Formula, of_, entryOf(4, 7, 1_000)), "another round");
        vm.assertTrue(judged(ISumVerifier.Fault.Formula, of_, "garbage"), "garbage");
        vm.assertTrue(judged(ISumVerifier.Fault.Formula, of_, new bytes(160)), "another domain");
        Case memory huge = Case(7, 1 << 200, 1 << 200, 0);
        vm.assertTrue(judged(ISumVerifier.Fault.Formula, huge, entryOf(5, 7, 1 << 200)), "beyond any token");
    }

    function test_nobody_earns_where_nobody_scored() public view {
        (ISumVerifier.Context memory context, ISumVerifier.BadPayout memory proof) =
            accuse(ISumVerifier.Fault.Formula, Case(0, 0, 3, 3), entryOf(5, 0, 0));
        context.commit.scores = 0;
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "nothing");
        (context, proof) = accuse(ISumVerifier.Fault.Formula, Case(0, 1, 3, 3), entryOf(5, 0, 1));
        context.commit.scores = 0;
        vm.assertTrue(guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "something");
    }

    function test_a_cumulative_amount_is_at_least_what_was_earned() public view {
        vm.assertTrue(judged(ISumVerifier.Fault.Formula, Case(7, 1_000, 999, 0), entryOf(5, 7, 1_000)), "below");
        vm.assertTrue(judged(ISumVerifier.Fault.Regression, Case(7, 1_000, 999, 0), entryOf(5, 7, 1_000)), "below");
    }

    function test_in_the_first_round_it_is_what_was_earned() public view {
        for (uint256 more = 0; more < 2; more++) {
            (ISumVerifier.Context memory context, ISumVerifier.BadPayout memory proof) =
                accuse(ISumVerifier.Fault.Formula, Case(7, 1_000, 1_000 + more, 0), entryOf(5, 7, 1_000));
            context.payoutsBefore = 0;
            bool found = guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof));
            vm.assertTrue(found == (more == 1), "exactly");
        }
    }

    function testFuzz_it_follows_the_amount_before(uint256 before, uint256 cumulative) public view {
        before = within(before, 0, 50);
        cumulative = within(cumulative, 1_000, 1_060);
        bool bad = cumulative != before + 1_000;
        Case memory of_ = Case(7, 1_000, cumulative, before);
        vm.assertTrue(judged(ISumVerifier.Fault.Regression, of_, entryOf(5, 7, 1_000)) == bad, "by what was earned");
    }

    function test_a_regression_is_judged_on_a_true_entry_and_a_true_leaf_before() public view {
        vm.assertTrue(!judged(ISumVerifier.Fault.Regression, Case(7, 1_000, 1_001, 0), entryOf(4, 7, 1_000)), "form");
        (ISumVerifier.Context memory context, ISumVerifier.BadPayout memory proof) =
            accuse(ISumVerifier.Fault.Regression, Case(7, 1_000, 1_001, 0), entryOf(5, 7, 1_000));
        proof.other.cumulative = 7;
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "no such leaf before");
        proof.other.cumulative = 0;
        vm.assertTrue(guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "the true one");
        proof.entry = entryOf(5, 6, 1_000);
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "another entry");
        (context, proof) = accuse(ISumVerifier.Fault.Formula, Case(7, 1, 1, 0), entryOf(5, 7, 1));
        proof.payout.cumulative = 2;
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "no such leaf");
    }

    function test_a_payee_has_one_leaf() public view {
        (ISumVerifier.Context memory context, ISumVerifier.BadPayout memory proof) =
            accuse(ISumVerifier.Fault.Twin, Case(7, 1_000, 1_000, 0), entryOf(5, 7, 1_000));
        proof.other = proof.payout;
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "the same leaf");
        (proof.other,) = payoutOf(5, "another", 0);
        bytes32 twin = leafOf(proof.other);
        vm.assertTrue(!guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "not in the tree");
        context.commit.payouts = Payouts.pair(leafOf(proof.payout), twin);
        proof.payout.steps = Rounds.one(twin);
        proof.other.steps = Rounds.one(leafOf(proof.payout));
        vm.assertTrue(guilty(context, ISumVerifier.Kind.BadPayout, abi.encode(proof)), "two leaves");
    }
}

/// @notice Whoever committed honestly can answer every demand, and nobody else can answer for it falsely.
contract OpeningsTest is VerifierFixture {
    using Rounds for Rounds.World;

    function asked(Rounds.World memory made, uint256 seed) private pure returns (ISumVerifier.Node memory node) {
        node.tree = ISumVerifier.Tree(seed % 4);
        uint256 place = (seed >> 8) % Rounds.placesOf(made.shape);
        if (node.tree != ISumVerifier.Tree.Cohort) {
            (node.chunk, node.leaf) = (Rounds.chunkOf(made.shape, place), Rounds.leafOf(made.shape, place));
        }
        if (node.tree == ISumVerifier.Tree.PublishedSum) return node;
        if (node.tree == ISumVerifier.Tree.SumTrees) node.level = uint8((seed >> 40) % made.trees[0].length);
        node.index = uint32((seed >> 48) % (((made.shape.slots - 1) >> node.level) + 1));
    }

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 1000
    function testFuzz_every_node_that_exists_opens_and_nothing_else_does(uint256 seed, uint256 bit) public view {
        Rounds.World memory made = honest(smallShape(seed >> 64));
        ISumVerifier.Node memory node = asked(made, seed);
        ISumVerifier.Context memory context = contextOf(made);
        bool carried = node.level > 0 && ((2 * uint256(node.index) + 1) << (node.level - 1)) >= made.shape.slots;
        vm.assertTrue(verifier.exists(context, node, made.arithmetic) == !carried, "every node that was made");
        bytes memory opening = abi.encode(made.opening(node));
        vm.assertTrue(verifier.opens(context, node, opening) == !carried, "opens");

        bit %= 8 * opening.length;
        opening[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool done, bytes memory answer) =
            address(verifier).staticcall(abi.encodeCall(ISumVerifier.opens, (context, node, opening)));

        // Where a tree has no slot ids, or is not of the words, these say nothing.
        bool inId = bit / 8 >= 60 && bit / 8 < 64;
        bool idle = node.tree == ISumVerifier.Tree.Cohort || (node.tree != ISumVerifier.Tree.Contribution && inId);
        vm.assertTrue(idle || !done || !abi.decode(answer, (bool)), "forged");
    }

    function test_a_node_that_is_not_there_does_not_exist() public view {
        Rounds.World memory made = honest(shapeOf(5, 2, 2, 1, PRIME));
        ISumVerifier.Context memory context = contextOf(made);
        for (uint256 i = 0; i < 15; i++) {
            ISumVerifier.Node memory node;
            if (i == 0) (node.tree, node.index) = (ISumVerifier.Tree.Cohort, 5);
            if (i == 1) (node.tree, node.level) = (ISumVerifier.Tree.Cohort, 1);
            if (i == 2) (node.tree, node.chunk) = (ISumVerifier.Tree.Cohort, 1);
            if (i == 3) (node.tree, node.leaf) = (ISumVerifier.Tree.Cohort, 1);
            if (i == 4) (node.tree, node.index) = (ISumVerifier.Tree.PublishedSum, 1);
            if (i == 5) (node.tree, node.level) = (ISumVerifier.Tree.PublishedSum, 1);
            if (i == 6) (node.tree, node.leaf) = (ISumVerifier.Tree.PublishedSum, 2);
            if (i == 7) (node.tree, node.chunk, node.leaf) = (ISumVerifier.Tree.PublishedSum, 1, 1);
            if (i == 8) (node.tree, node.index) = (ISumVerifier.Tree.Contribution, 5);
            if (i == 9) (node.tree, node.level) = (ISumVerifier.Tree.Contribution, 1);
            if (i == 10) (node.tree, node.chunk) = (ISumVerifier.Tree.Contribution, 2);
            if (i == 11) (node.level, node.index) = (1, 2);
            if (i == 12) node.level = 4;
            if (i == 13) node.level = 255;
            if (i == 14) node.index = 5;
            vm.assertTrue(!verifier.exists(context, node, made.arithmetic), "nowhere");
            vm.assertTrue(!verifier.opens(context, node, abi.encode(made.opening(zero()))), "nor opens");
        }
        vm.assertTrue(!verifier.exists(context, zero(), "another arithmetic"), "under another arithmetic");
    }

    function zero() private pure returns (ISumVerifier.Node memory node) {
        return node;
    }

    function test_an_opening_with_a_step_too_many_is_none() public view {
        Rounds.World memory made = honest(shapeOf(5, 2, 2, 1, PRIME));
        for (uint256 tree = 0; tree < 4; tree++) {
            ISumVerifier.Node memory node;
            node.tree = ISumVerifier.Tree(tree);
            ISumVerifier.Opening memory opening = made.opening(node);
            opening.steps = Rounds.both(opening.steps, Rounds.one(0));
            vm.assertTrue(!verifier.opens(contextOf(made), node, abi.encode(opening)), "too many");
            opening.steps = new bytes32[](0);
            vm.assertTrue(!verifier.opens(contextOf(made), node, abi.encode(opening)), "too few");
        }
    }
}
